package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ReadJSON reads one JSON value. Null is an empty map. Errors wrap ErrInvalid.
func ReadJSON(text []byte) (*Node, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	n, err := readJSON(decoder, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: at byte %d: %w", ErrInvalid, decoder.InputOffset(), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: at byte %d: there is more after the value: write one value", ErrInvalid, decoder.InputOffset())
	}
	return orEmpty(n), nil
}

func readJSON(decoder *json.Decoder, depth int) (*Node, error) {
	tok, err := decoder.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch v := tok.(type) {
	case string:
		return NewText(v), nil
	case bool:
		return NewText(strconv.FormatBool(v)), nil
	case json.Number:
		if count := countOf(v.String()); count != nil {
			return count, nil
		}
		return NewText(v.String()), nil
	case json.Delim:
		if depth >= MaxDepth {
			return nil, fmt.Errorf("objects and arrays are nested too deeply: at most %d deep are read", MaxDepth)
		}
		if v == '[' {
			return readArray(decoder, depth)
		}
		return readObject(decoder, depth)
	default:
		return nil, nil
	}
}

func readArray(decoder *json.Decoder, depth int) (*Node, error) {
	var items []*Node
	for decoder.More() {
		item, err := readJSON(decoder, depth+1)
		if err != nil {
			return nil, err
		}
		if item == nil {
			item = NewText("")
		}
		items = append(items, item)
	}
	_, err := decoder.Token()
	return NewList(items), err
}

func readObject(decoder *json.Decoder, depth int) (*Node, error) {
	fields := map[string]*Node{}
	for decoder.More() {
		tok, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string)
		if name == "" {
			return nil, errors.New("the name of a field is empty")
		}
		if _, ok := fields[name]; ok {
			return nil, fmt.Errorf("the field '%s' is there twice", name)
		}
		if fields[name], err = readJSON(decoder, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return NewMap(fields), err
}
