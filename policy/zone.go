package policy

import (
	"errors"
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // the zones are part of the program: the same everywhere, also where the system has none
)

// zones keeps what was loaded, which makes a decision cheap. It holds no more than there are zones: only names that exist.
var zones sync.Map

// loadZone finds a zone by its IANA name.
func loadZone(name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	if name == "" || name == "Local" {
		return nil, errors.New("a zone needs its IANA name, for example Asia/Jakarta")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%.64q is no time zone; use its IANA name, for example Asia/Jakarta", name)
	}
	zones.Store(name, loc)
	return loc, nil
}
