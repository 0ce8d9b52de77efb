package appliance

import (
	"fmt"
	"net/netip"
	"strings"
)

// Target is whom a route rings: a registered phone, or a number behind a trunk.
type Target struct {
	Trunk  string // empty for a phone
	Number string // extension of the phone, or number to dial over the trunk
}

// ParseTarget reads phone:1001 or trunk:pbx/200.
func ParseTarget(text string) (Target, error) {
	if ext, ok := strings.CutPrefix(text, "phone:"); ok && extensionForm.MatchString(ext) {
		return Target{Number: ext}, nil
	}
	if rest, ok := strings.CutPrefix(text, "trunk:"); ok {
		name, number, found := strings.Cut(rest, "/")
		if found && nameForm.MatchString(name) && targetForm.MatchString(number) {
			return Target{Trunk: name, Number: number}, nil
		}
	}
	return Target{}, fmt.Errorf("%q is not a target", text)
}

// String writes the target the way ParseTarget reads it.
func (t Target) String() string {
	if t.Trunk == "" {
		return "phone:" + t.Number
	}
	return "trunk:" + t.Trunk + "/" + t.Number
}

// Networks are the addresses that count as the trunk's PBX: those named, else the host when it is an address.
func (t Trunk) Networks() []netip.Prefix {
	texts := t.Addresses
	if len(texts) == 0 && t.Host != "" {
		texts = []string{t.Host}
	}
	var list []netip.Prefix
	for _, s := range texts {
		if n, err := ParseNetwork(s); err == nil {
			list = append(list, n)
		}
	}
	return list
}
