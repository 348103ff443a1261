package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var (
	// ErrVersion is returned for a plan of another version.
	ErrVersion = errors.New("plan of another version")
	// ErrInvalid is returned for a plan that cannot be carried out.
	ErrInvalid = errors.New("plan is not valid")
	// ErrHolds is returned when a plan that was to be made smaller does not fail.
	ErrHolds = errors.New("plan does not fail")
	// ErrProfile is returned for a profile that there is not.
	ErrProfile = errors.New("no such profile")
)

// Read reads the plan of a file. What it does not know to the last field is
// refused: a plan of which a part was left out would be another one.
func Read(path string) (*Plan, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	p, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read plan %s: %w", path, err)
	}
	return p, nil
}

// Decode reads a plan from the text of its file.
func Decode(text []byte) (*Plan, error) {
	// The version comes first: of a plan of another one nothing else is known.
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if head.Version == nil {
		return nil, fmt.Errorf("%w: it has no version: it is the file of something else", ErrInvalid)
	}
	if *head.Version != Version {
		return nil, fmt.Errorf("%w: it has %d, this program reads %d: use the program that wrote it", ErrVersion, *head.Version, Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	p := &Plan{}
	if err := decoder.Decode(p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// Write writes the plan to a file, whole or not at all.
func (p *Plan) Write(path string) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".plan-*")
	if err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write plan: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
