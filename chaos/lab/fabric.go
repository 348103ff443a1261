package lab

// fabric joins the hosts of a lab. The router of the kernel is one, the switch
// in user space another. Its methods are called one at a time.
type fabric interface {
	// join gives a host its cable, with its address.
	join(host *Host) error
	// cut drops what one host sends to another, without a word; mend lets it pass
	// again.
	cut(direction link) error
	mend(direction link) error
	// shape lets packets of a direction travel as the link says. It may be
	// refused with ErrUnable.
	shape(direction link, how Link) error
	// silence drops everything from and to a host; restore lets it pass again.
	silence(host *Host) error
	restore(host *Host) error
	// plug makes a host's interface usable again that was turned off and on.
	plug(host *Host) error
	close() error
}

// link is one direction between two hosts.
type link struct{ from, to *Host }
