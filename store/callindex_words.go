package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// The words a customer is found by, bounded per customer. Only their HMAC is stored.
const (
	maxNameWords  = 5
	minNamePrefix = 2
	maxNamePrefix = 10
	minDigits     = 3
	maxSuffix     = 8
)

// searchWords are the HMACs under which a customer is filed: the beginnings of the words of name and user name, the whole
// number and its last 3 to 8 digits.
func (t *tx) searchWords(p customerPersonal) []string {
	var out []string
	seen := map[string]bool{}
	add := func(kind, word string) {
		h := t.s.wordHash(kind, word)
		if !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
	}
	for _, w := range nameWords(p.Name + " " + p.Username) {
		r := []rune(w)
		for n := minNamePrefix; n <= min(len(r), maxNamePrefix); n++ {
			add("name", string(r[:n]))
		}
	}
	if n := len(p.Phone); n > 0 {
		add("number", p.Phone)
		for i := minDigits; i <= min(n, maxSuffix); i++ {
			add("digits", p.Phone[n-i:])
		}
	}
	return out
}

// nameWords are the first words of a name, in lower case.
func nameWords(name string) []string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !isWordRune(r) })
	return words[:min(len(words), maxNameWords)]
}

const wordHashSize = 12

// wordHash is shorter than other lookups: a wrong hit is found out when the customer is read.
func (s *Store) wordHash(kind, word string) string {
	return s.crypt.hash("search "+kind, word)[:wordHashSize]
}

func wordPrefix(hash string) []byte { return append([]byte{tabWord}, hash...) }

// indexCustomer files a customer under its words, and nothing else any more.
func (t *tx) indexCustomer(f Fact) error {
	c, err := decodeCustomer(f.Data, f.Personal)
	if err != nil {
		return err
	}
	var words []string
	if c.Into == "" && !c.Erased { // a merged customer is found through the one it is part of
		words = t.searchWords(c.customerPersonal)
	}
	return t.fileUnder(c.ID, words)
}

// fileUnder replaces the words of a customer.
func (t *tx) fileUnder(id string, words []string) error {
	k := key(tabWords, id)
	old, err := t.get(k)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	joined := strings.Join(words, "")
	if string(old) == joined {
		return nil
	}
	keep := map[string]bool{}
	for _, w := range words {
		keep[w] = true
	}
	for i := 0; i+wordHashSize <= len(old); i += wordHashSize {
		if w := string(old[i : i+wordHashSize]); !keep[w] {
			if err := t.del(append(wordPrefix(w), id...)); err != nil {
				return err
			}
		}
	}
	for _, w := range words {
		if err := t.set(append(wordPrefix(w), id...), nil); err != nil {
			return err
		}
	}
	if len(words) == 0 {
		return t.del(k)
	}
	return t.set(k, []byte(joined))
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// unindexCustomers takes erased customers out of the search.
func (t *tx) unindexCustomers(f Fact) error {
	var ids []string
	if err := json.Unmarshal(f.Data, &ids); err != nil {
		return fmt.Errorf("%w: erasure %d: %w", ErrCorrupt, f.Seq, err)
	}
	for _, id := range ids {
		if err := t.fileUnder(id, nil); err != nil {
			return err
		}
	}
	return nil
}
