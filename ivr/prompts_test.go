package ivr

import (
	"io/fs"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
	"os"
)

func TestEveryPromptIsThereAndSoundsRight(t *testing.T) {
	l := newLibrary(t)
	var total int64
	for _, lang := range Languages {
		files := map[string]bool{}
		entries, err := fs.ReadDir(promptFiles, "prompts/"+lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			files[strings.TrimSuffix(e.Name(), ".opus")] = true
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
		}
		seen := map[string]bool{}
		for _, text := range l.Texts(lang) {
			if seen[text.ID] {
				t.Errorf("%s/%s is in the list twice", lang, text.ID)
			}
			seen[text.ID] = true
			delete(files, text.ID)
			pcm, err := l.prompt(lang, text.ID)
			if err != nil {
				t.Errorf("%s/%s: %v", lang, text.ID, err)
				continue
			}
			length := time.Duration(len(pcm)) * time.Second / Rate
			if length < 100*time.Millisecond || length > 12*time.Second {
				t.Errorf("%s/%s lasts %v", lang, text.ID, length)
			}
			if level := media.Level(pcm); level < -30 || level > -8 {
				t.Errorf("%s/%s has a level of %.1f dBFS", lang, text.ID, level)
			}
			if p := peak(pcm); p > 32000 {
				t.Errorf("%s/%s clips: peak %d", lang, text.ID, p)
			}
			// A voice begins soon and says about what its text says: 5 to 30 letters a second.
			if lead := quietLead(pcm); lead > 120*time.Millisecond {
				t.Errorf("%s/%s begins with %v of silence", lang, text.ID, lead)
			}
			if rate := float64(len(text.Text)) / length.Seconds(); len(text.Text) > 20 && (rate < 8 || rate > 25) {
				t.Errorf("%s/%s says %.1f letters a second", lang, text.ID, rate)
			}
		}
		for id := range files {
			t.Errorf("%s/%s.opus belongs to no text: run tools/prompts.sh", lang, id)
		}
	}
	if total > 2<<20 {
		t.Errorf("the prompts take %d bytes", total)
	}
}

func quietLead(pcm []int16) time.Duration {
	quiet := peak(pcm) / 20
	for i, v := range pcm {
		if !within(v, quiet) {
			return time.Duration(i) * time.Second / Rate
		}
	}
	return math.MaxInt64
}

var quoted = regexp.MustCompile(`"([a-z_]+(?:\.[a-z_0-9]+)?)"`)

// What the code can say and what the lists have must be the same, in every language.
func TestTheListsHoldWhatIsSaidAndNothingElse(t *testing.T) {
	l := newLibrary(t)
	mentioned := map[string]bool{}
	for _, id := range []string{"ask", "button", "ring", "callback"} {
		for _, kind := range []string{"offer.", "done.", "fail."} {
			mentioned[kind+id] = true
		}
	}
	sources, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sources {
		if path.Ext(f.Name()) != ".go" || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(b), -1) {
			mentioned[m[1]] = true
		}
	}
	own := []string{"n.and", "time.", "unit."} // where the languages differ
	for _, lang := range Languages {
		used := usedIDs(lang)
		listed := map[string]bool{}
		for _, text := range l.Texts(lang) {
			listed[text.ID] = true
			if !used[text.ID] && !mentioned[text.ID] {
				t.Errorf("%s/%s is never said", lang, text.ID)
			}
			for _, other := range Languages {
				_, there := l.pause[other][text.ID]
				if !there && !slices.ContainsFunc(own, func(p string) bool { return strings.HasPrefix(text.ID, p) }) {
					t.Errorf("%s has %s and %s has not", lang, text.ID, other)
				}
			}
		}
		for id := range used {
			if !listed[id] {
				t.Errorf("%s/%s is said and not in the list", lang, id)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(mentioned)) {
			if strings.Contains(id, ".") && !listed[id] && !strings.HasPrefix(id, "time.") && !strings.HasPrefix(id, "n.") && !strings.HasPrefix(id, "unit.") {
				t.Errorf("%s/%s is said and not in the list", lang, id)
			}
		}
	}
}
