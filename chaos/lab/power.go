package lab

import (
	"errors"
	"fmt"
)

// muteness is why nothing is heard of a host; there may be several reasons.
type muteness uint8

const (
	unplugged muteness = 1 << iota
	powerless
)

// Unplug pulls the cable of a host. Nobody hears of it any more, and its own
// programs are told at once, by errors, that there is no network.
func (h *Host) Unplug() error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	if h.mute&unplugged != 0 {
		return nil
	}
	if err := h.hush(unplugged); err != nil {
		return err
	}
	if err := h.turnOff(); err != nil {
		return errors.Join(fmt.Errorf("unplug %s: %w", h.Name, err), h.speak(unplugged))
	}
	return nil
}

// Plug puts the cable back. What was cut stays cut.
func (h *Host) Plug() error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	if h.mute&unplugged == 0 {
		return nil
	}
	if err := turnOn(h.kernel, device, "", 0); err != nil {
		return fmt.Errorf("plug %s: %w", h.Name, err)
	}
	if err := h.lab.fabric.plug(h); err != nil {
		return fmt.Errorf("plug %s: %w", h.Name, err)
	}
	return h.speak(unplugged)
}

// hush drops everything from and to the host, for one more reason; the lab's
// lock is held.
func (h *Host) hush(why muteness) error {
	if h.mute == 0 {
		if err := h.lab.fabric.silence(h); err != nil {
			return fmt.Errorf("silence %s: %w", h.Name, err)
		}
	}
	h.mute |= why
	return nil
}

// speak takes a reason away, and lets everything pass when there is none left;
// the lab's lock is held.
func (h *Host) speak(why muteness) error {
	if h.mute&why == 0 {
		return nil
	}
	if h.mute == why {
		if err := h.lab.fabric.restore(h); err != nil {
			return fmt.Errorf("let %s be heard: %w", h.Name, err)
		}
	}
	h.mute &^= why
	return nil
}

// PowerOff lets nobody hear of the host again and kills everything that runs on
// it. What its disk has not flushed it loses by itself.
func (h *Host) PowerOff() error {
	if err := h.goDark(); err != nil {
		return err
	}
	return h.KillAll()
}

func (h *Host) goDark() error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return h.hush(powerless)
}

// PowerOn lets the host be heard again. Nothing is started on it.
func (h *Host) PowerOn() error {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return h.speak(powerless)
}
