package argosyv1

// TagsInForce returns the tags of an agent: those that a user has given it, else
// those that it registered with.
func (x *Agent) TagsInForce() map[string]string {
	if given := x.GetUserTags(); given != nil {
		return given.GetTags()
	}
	return x.GetTags()
}
