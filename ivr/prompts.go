package ivr

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

//go:embed prompts
var promptFiles embed.FS

// Text is one prompt of a language as its list has it.
type Text struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// readTexts reads a list: id, a tab, text; lines of # are comments.
func readTexts(files fs.FS, lang string) ([]Text, error) {
	b, err := fs.ReadFile(files, "prompts/"+lang+".txt")
	if err != nil {
		return nil, fmt.Errorf("read prompt list %q: %w", lang, err)
	}
	var texts []Text
	for n, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		id, text, ok := strings.Cut(line, "\t")
		if !ok || id == "" || text == "" {
			return nil, fmt.Errorf("read prompt list %q: line %d is not an id, a tab and a text", lang, n+1)
		}
		texts = append(texts, Text{ID: id, Text: text})
	}
	return texts, nil
}

// pauseAfter is how long to wait after a prompt, by the last sign of its text.
func pauseAfter(text string) time.Duration {
	switch {
	case strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ".m."), strings.HasSuffix(text, "?"):
		return pauseStop
	case strings.HasSuffix(text, ","):
		return pauseComma
	}
	return pauseWord
}
