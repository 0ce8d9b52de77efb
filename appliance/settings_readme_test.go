package appliance

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```$")
	indented  = regexp.MustCompile(`(?m)^   `)
)

func TestSettingsInTheReadmeAreValidTogether(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	byKey := map[string][]string{}
	for _, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
		block := m[1]
		if strings.HasPrefix(block, "   lines:") { // inside a numbered list
			block = indented.ReplaceAllString(block, "")
		}
		key, _, _ := strings.Cut(block, ":")
		byKey[key] = append(byKey[key], block)
	}
	if len(byKey["lines"]) != 1 || len(byKey["trunks"]) != 2 || len(byKey["phones"]) != 1 {
		t.Fatalf("examples found: %v", byKey)
	}
	for _, trunk := range byKey["trunks"] {
		doc := byKey["lines"][0] + trunk + byKey["phones"][0]
		if _, err := ParseSettings(strings.NewReader(doc), "README.md"); err != nil {
			t.Errorf("%v\n%s", err, doc)
		}
	}
}
