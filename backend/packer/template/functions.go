package template

import (
	"crypto/md5"  //nolint:gosec // a function of the language, not a check
	"crypto/sha1" //nolint:gosec // a function of the language, not a check
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// standard are functions whose meaning is that of go-cty's library, by the name that
// Packer gives them (developer.hashicorp.com/packer/docs/templates/hcl_templates/functions).
var standard = map[string]function.Function{
	"abs": stdlib.AbsoluteFunc, "can": tryfunc.CanFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc,
	"chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc,
	"compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "csvdecode": stdlib.CSVDecodeFunc,
	"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc,
	"format": boundedFormat, "formatdate": stdlib.FormatDateFunc, "formatlist": stdlib.FormatListFunc, "indent": stdlib.IndentFunc,
	"join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
	"keys": stdlib.KeysFunc, "log": stdlib.LogFunc, "lookup": stdlib.LookupFunc, "lower": stdlib.LowerFunc,
	"max": stdlib.MaxFunc, "merge": stdlib.MergeFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc,
	"range": stdlib.RangeFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc, "regex_replace": stdlib.RegexReplaceFunc,
	"replace": stdlib.ReplaceFunc, "reverse": stdlib.ReverseListFunc, "setintersection": stdlib.SetIntersectionFunc,
	"setproduct": stdlib.SetProductFunc, "setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc, "signum": stdlib.SignumFunc,
	"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
	"timeadd": stdlib.TimeAddFunc, "title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
	"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "try": tryfunc.TryFunc, "upper": stdlib.UpperFunc,
	"values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
	"length": length, "index": indexOf, "sum": sum,
	"alltrue": stdlibTruth(true), "anytrue": stdlibTruth(false),
	"tostring": conversion(cty.String), "tonumber": conversion(cty.Number), "tobool": conversion(cty.Bool),
	"tolist": conversion(cty.List(cty.DynamicPseudoType)), "toset": conversion(cty.Set(cty.DynamicPseudoType)), "tomap": conversion(cty.Map(cty.DynamicPseudoType)),
	"base64encode": ofText(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
	"base64decode": ofText(func(s string) (string, error) {
		b, err := base64.StdEncoding.DecodeString(s)
		return string(b), err
	}),
	"urlencode":   ofText(func(s string) (string, error) { return url.QueryEscape(s), nil }),
	"md5":         digest(func(b []byte) []byte { d := md5.Sum(b); return d[:] }),  //nolint:gosec // as above
	"sha1":        digest(func(b []byte) []byte { d := sha1.Sum(b); return d[:] }), //nolint:gosec // as above
	"sha256":      digest(func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }),
	"sha512":      digest(func(b []byte) []byte { d := sha512.Sum512(b); return d[:] }),
	"basename":    ofText(func(s string) (string, error) { return filepath.Base(s), nil }),
	"dirname":     ofText(func(s string) (string, error) { return filepath.Dir(s), nil }),
	"abspath":     ofText(func(s string) (string, error) { p, err := filepath.Abs(s); return filepath.ToSlash(p), err }),
	"pathexpand":  ofText(expandHome),
	"startswith":  ofTexts(strings.HasPrefix),
	"endswith":    ofTexts(strings.HasSuffix),
	"strcontains": ofTexts(strings.Contains),
	"cidrnetmask": ofText(netmask),
}

// notEvaluated are functions that Packer has and whose value is not known here: the time,
// random numbers, secrets of services, and what is rarely part of a machine.
var notEvaluated = []string{
	"timestamp", "legacy_isotime", "legacy_strftime", "uuidv4", "uuidv5", "uuid", "bcrypt", "rsadecrypt", "base64gzip", "base64sha256", "base64sha512",
	"vault", "consul_key", "consul_keys", "aws_secretsmanager", "aws_secretsmanager_raw", "aws_secretsmanager_list", "hcp_packer_image", "hcp_packer_version",
	"templatefile", "fileset", "filebase64", "filebase64sha256", "filebase64sha512", "filemd5", "filesha1", "filesha256", "filesha512",
	"yamldecode", "yamlencode", "textencodebase64", "textdecodebase64", "cidrhost", "cidrsubnet", "cidrsubnets", "matchkeys", "transpose", "list", "map", "convert", "gunzip", "zip",
}

// functions returns all functions of a template in the folder root.
func functions(root string, env func(string) string) map[string]function.Function {
	out := map[string]function.Function{
		"env":        ofText(func(s string) (string, error) { return env(s), nil }),
		"file":       ofText(func(s string) (string, error) { return fileText(root, s) }),
		"fileexists": fileExists(root),
	}
	for name, f := range standard {
		out[name] = f
	}
	for _, name := range notEvaluated {
		out[name] = function.New(&function.Spec{
			VarParam: &function.Parameter{Name: "args", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
			Type:     function.StaticReturnType(cty.DynamicPseudoType),
			Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
				return unknown(cty.DynamicPseudoType, name+"()"), nil
			},
		})
	}
	return out
}

func text(name string) function.Parameter { return function.Parameter{Name: name, Type: cty.String} }

// ofText makes a function from text to text.
func ofText(f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{text("str")},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			return cty.StringVal(s), err
		},
	})
}

// ofTexts makes a function that compares two texts.
func ofTexts(f func(a, b string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{text("str"), text("part")},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

func digest(f func([]byte) []byte) function.Function {
	return ofText(func(s string) (string, error) { return hex.EncodeToString(f([]byte(s))), nil })
}

// conversion makes a function that converts to a type, as tostring does.
func conversion(to cty.Type) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "v", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := convert.Convert(args[0], to)
			if err != nil {
				return cty.DynamicPseudoType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return convert.Convert(args[0], to) },
	})
}

// length counts the elements of a collection, or the characters of a text.
var length = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String {
			return stdlib.Strlen(args[0])
		}
		return stdlib.Length(args[0])
	},
})

// indexOf is the position of a value in a list.
var indexOf = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].CanIterateElements() {
			return cty.NilVal, errors.New("the first argument is no list")
		}
		for i, v := range args[0].AsValueSlice() {
			if eq, err := stdlib.Equal(v, args[1]); err == nil && eq.IsKnown() && eq.True() {
				return cty.NumberIntVal(int64(i)), nil
			}
		}
		return cty.NilVal, errors.New("the list does not hold the value")
	},
})

var sum = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		total := cty.Zero
		for _, v := range args[0].AsValueSlice() {
			if v.IsNull() {
				return cty.NilVal, errors.New("the list holds null")
			}
			total = total.Add(v)
		}
		return total, nil
	},
})

// stdlibTruth makes alltrue (of true) and anytrue (of false): the function returns the
// opposite of end at the first value that is not end.
func stdlibTruth(end bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, v := range args[0].AsValueSlice() {
				if !v.IsKnown() {
					return cty.UnknownVal(cty.Bool), nil
				}
				if isTrue := !v.IsNull() && v.True(); isTrue != end {
					return cty.BoolVal(!end), nil
				}
			}
			return cty.BoolVal(end), nil
		},
	})
}

// boundedFormat is format without the widths that would fill the memory.
var boundedFormat = function.New(&function.Spec{
	Params:   []function.Parameter{text("format")},
	VarParam: &function.Parameter{Name: "args", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		digits := 0
		for _, r := range args[0].AsString() {
			if digits++; r < '0' || r > '9' {
				digits = 0
			}
			if digits > 4 {
				return cty.NilVal, errors.New("a width of more than 9999 is not formatted")
			}
		}
		return stdlib.Format(args[0], args[1:]...)
	},
})

// netmask returns the mask of an IPv4 network: 10.0.0.0/8 has 255.0.0.0.
func netmask(s string) (string, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return "", fmt.Errorf("%q is no IPv4 network", s)
	}
	mask := ^uint32(0) << (32 - p.Bits())
	return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String(), nil
}

// expandHome replaces a leading ~ by the user's home folder.
func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	dir, err := os.UserHomeDir()
	return dir + strings.TrimPrefix(path, "~"), err
}

func inRoot(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// fileText returns the content of a file, relative to the template's folder.
func fileText(root, path string) (string, error) {
	path, err := expandHome(path)
	if err != nil {
		return "", err
	}
	b, err := readBounded(inRoot(root, path))
	return string(b), err
}

func fileExists(root string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{text("path")},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path, err := expandHome(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			info, err := os.Stat(inRoot(root, path))
			return cty.BoolVal(err == nil && info.Mode().IsRegular()), nil
		},
	})
}
