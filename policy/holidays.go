package policy

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"sync"
)

// Pack is the public holidays of a country and year, as decreed. The files are in holidays/, one a year, so that a change of
// a decree is a change of data.
type Pack struct {
	ID      string    `json:"id"` // "id-2026"
	Country string    `json:"country"`
	Year    int       `json:"year"`
	Source  string    `json:"source"` // the decree
	Note    string    `json:"note,omitempty"`
	Days    []PackDay `json:"days"` // by date
}

// PackDay is one date of a pack.
type PackDay struct {
	Date    string `json:"date"`
	Name    string `json:"name"`            // in the country's language
	English string `json:"english"`         // in English
	Joint   bool   `json:"joint,omitempty"` // cuti bersama: collective leave, which a company may work through
}

//go:embed holidays/*.json
var packFiles embed.FS

var readPacks = sync.OnceValue(func() []Pack {
	entries, err := packFiles.ReadDir("holidays")
	if err != nil {
		panic(err) // the directory is embedded
	}
	var packs []Pack
	for _, e := range entries {
		b, err := packFiles.ReadFile(path.Join("holidays", e.Name()))
		if err != nil {
			panic(err)
		}
		var p Pack
		if err := json.Unmarshal(b, &p); err != nil {
			panic(fmt.Sprintf("holidays/%s: %v", e.Name(), err)) // a test reads them all
		}
		packs = append(packs, p)
	}
	return packs
})

// Packs are the holiday packs that come with the program, by ID. They are not to be changed.
func Packs() []Pack { return readPacks() }

// Holidays are the days of a pack as closed holidays; joint says whether collective leave is among them.
func (p Pack) Holidays(joint bool) []Holiday {
	var out []Holiday
	for _, d := range p.Days {
		if joint || !d.Joint {
			out = append(out, Holiday{Date: d.Date, Name: d.Name})
		}
	}
	return out
}
