package target

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// unknownKeys returns all keys of a YAML text that v's type does not have. For a text
// that is not YAML it returns none, since decoding reports the mistake.
func unknownKeys(file string, data []byte, v any) (out []*Error) {
	f, err := parsed(data)
	if err != nil {
		return nil
	}
	for _, doc := range f.Docs {
		out = append(out, unknownIn(file, doc.Body, reflect.TypeOf(v))...)
	}
	return out
}

// unknownIn compares a node with the type into which it is decoded.
func unknownIn(file string, n ast.Node, t reflect.Type) (out []*Error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, value := range n.Values {
			out = append(out, unknownValue(file, value, t)...)
		}
	case *ast.MappingValueNode:
		return unknownValue(file, n, t)
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice {
			for _, item := range n.Values {
				out = append(out, unknownIn(file, item, t.Elem())...)
			}
		}
	}
	return out
}

func unknownValue(file string, n *ast.MappingValueNode, t reflect.Type) []*Error {
	if t.Kind() == reflect.Map {
		return unknownIn(file, n.Value, t.Elem())
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	fields := yamlFields(t)
	name := strings.Trim(n.Key.GetToken().Value, `"'`)
	if field, ok := fields[name]; ok {
		return unknownIn(file, n.Value, field)
	}
	var known []string
	for k := range fields {
		known = append(known, k)
	}
	slices.Sort(known)
	return []*Error{{File: file, Line: n.Key.GetToken().Position.Line, Key: name, Msg: fmt.Sprintf("no such key here; accepted: %s", strings.Join(known, ", "))}}
}

// yamlFields returns a struct's keys with the types of their values.
func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opt, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case opt == "inline":
			for k, in := range yamlFields(f.Type) {
				fields[k] = in
			}
		case name != "" && name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}
