package manifest

import (
	"fmt"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Limits of one config.
const (
	// MaxConfigSize is how large it may be, in bytes: its texts and keys, and
	// something for each of its parts.
	MaxConfigSize = 1 << 20
	// MaxConfigDepth is how many levels it may have; a text is one.
	MaxConfigDepth = 32
	// configItemSize is what each part counts beside its text.
	configItemSize = 16
)

// ValidateConfig checks a config by its key and its value: the keys within it at
// every level, its size and its depth.
func ValidateConfig(key string, item *argosyv1.ConfigItem) error {
	if err := validateConfigKey(key); err != nil {
		return err
	}
	c := configChecker{key: key}
	return c.item(item, 1)
}

func validateConfigKey(key string) error {
	if !validKey(key) {
		return &FieldError{Reason: fmt.Sprintf("Unsupported config item key '%s'. %s", shorten(key), nameConstraint)}
	}
	return nil
}

// configSize returns what a config counts that has passed ValidateConfig.
func configSize(item *argosyv1.ConfigItem) int {
	size := configItemSize
	switch kind := item.GetKind().(type) {
	case *argosyv1.ConfigItem_Text:
		size += len(kind.Text)
	case *argosyv1.ConfigItem_List:
		for _, one := range kind.List.GetItems() {
			size += configSize(one)
		}
	case *argosyv1.ConfigItem_Map:
		for key, one := range kind.Map.GetItems() {
			size += len(key) + configSize(one)
		}
	}
	return size
}

type configChecker struct {
	key  string
	size int
}

func (c *configChecker) item(item *argosyv1.ConfigItem, depth int) error {
	if depth > MaxConfigDepth {
		return c.wrong("it may be nested at most %d levels deep", MaxConfigDepth)
	}
	if err := c.add(configItemSize); err != nil {
		return err
	}
	switch kind := item.GetKind().(type) {
	case *argosyv1.ConfigItem_Text:
		return c.add(len(kind.Text))
	case *argosyv1.ConfigItem_List:
		for _, one := range kind.List.GetItems() {
			if err := c.item(one, depth+1); err != nil {
				return err
			}
		}
		return nil
	case *argosyv1.ConfigItem_Map:
		for key, one := range kind.Map.GetItems() {
			if err := validateConfigKey(key); err != nil {
				return c.wrong("%s", err.Error())
			}
			if err := c.add(len(key)); err != nil {
				return err
			}
			if err := c.item(one, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return c.wrong("a part of it is neither a text nor a list nor a mapping")
}

func (c *configChecker) add(size int) error {
	if c.size += size; c.size > MaxConfigSize {
		return c.wrong("it may be at most %d bytes large", MaxConfigSize)
	}
	return nil
}

func (c *configChecker) wrong(format string, args ...any) error {
	return &FieldError{Config: c.key, Reason: fmt.Sprintf(format, args...)}
}
