package store

import (
	"context"
	"slices"
	"strings"

	"deskbridge/bridge"

	"github.com/dgraph-io/badger/v4"
)

// addText adds what the text means: a call, customers, agents.
func (x *searcher) addText() error {
	text := strings.TrimSpace(x.q.Text)
	if isCallID(text) {
		ok, err := x.t.has(key(tabCall, text))
		if err != nil || ok {
			x.one = text
			return err
		}
	}
	customers, err := x.t.customersMeant(x.ctx, text)
	if err != nil {
		return err
	}
	ids, hashes, agents := map[string]bool{}, map[uint64]bool{}, map[uint64]bool{}
	c := clause{}
	for _, id := range customers {
		h := hash64(id)
		ids[id], hashes[h] = true, true
		c.dims = append(c.dims, dimension{dimCustomer, h})
	}
	for _, target := range x.q.TextTargets {
		h := hash64(target)
		agents[h] = true
		c.dims = append(c.dims, dimension{dimAgent, h})
	}
	x.none = x.none || len(c.dims) == 0
	c.row = func(r *callRow) bool { return hashes[r.customer] || agents[r.agent] }
	c.exact = func(cdr *bridge.CDR) bool {
		return ids[cdr.Customer.ID] || slices.Contains(x.q.TextTargets, cdr.Agent)
	}
	x.clauses = append(x.clauses, c)
	return nil
}

// isCallID: 24 characters of Crockford's base32, lower case, as bridge makes them.
func isCallID(s string) bool {
	return len(s) == 24 && strings.Trim(s, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}

// customersMeant are the IDs of the customers a text means, with what was merged into them.
func (t *tx) customersMeant(ctx context.Context, text string) (ids []string, err error) {
	words, verify := t.s.queryWords(text)
	if len(words) == 0 {
		return nil, nil
	}
	err = t.scan(wordPrefix(words[0]), func(k []byte, _ *badger.Item) (bool, error) {
		ids = append(ids, string(k[1+wordHashSize:]))
		return len(ids) < maxFound, ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	ids, err = filterErr(ids, func(id string) (bool, error) {
		for _, w := range words[1:] {
			if ok, err := t.has(append(wordPrefix(w), id...)); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if verify != nil && len(ids) <= maxVerified {
		ids, err = filterErr(ids, func(id string) (bool, error) {
			c, err := t.customer(id)
			return err == nil && verify(c.customerPersonal), err
		})
		if err != nil {
			return nil, err
		}
	}
	return t.withMerged(ids)
}

func filterErr(in []string, keep func(string) (bool, error)) ([]string, error) {
	out := in[:0]
	for _, s := range in {
		ok, err := keep(s)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func (t *tx) withMerged(ids []string) ([]string, error) {
	if len(ids) > maxVerified { // a text that means so many is no search for a person
		return ids, nil
	}
	for _, id := range slices.Clone(ids) {
		c, err := t.customer(id)
		if err != nil {
			return nil, err
		}
		ids = append(ids, c.Merged...)
	}
	return ids, nil
}

// queryWords are the words a text is looked up by, all of which a customer must have. verify, if not nil, checks what is
// longer than the words on file.
func (s *Store) queryWords(text string) (words []string, verify func(customerPersonal) bool) {
	if digits, ok := queryDigits(text); ok {
		switch n := len(digits); {
		case n < minDigits:
			return nil, nil
		case n <= maxSuffix:
			return []string{s.wordHash("digits", digits)}, nil
		default:
			return []string{s.wordHash("digits", digits[n-maxSuffix:])}, func(p customerPersonal) bool { return strings.HasSuffix(p.Phone, digits) }
		}
	}
	long := false
	parts := nameWords(text)
	for _, w := range parts {
		r := []rune(w)
		if len(r) < minNamePrefix {
			continue
		}
		long = long || len(r) > maxNamePrefix
		words = append(words, s.wordHash("name", string(r[:min(len(r), maxNamePrefix)])))
	}
	if long {
		verify = func(p customerPersonal) bool {
			have := nameWords(p.Name + " " + p.Username)
			return !slices.ContainsFunc(parts, func(w string) bool {
				return !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, w) })
			})
		}
	}
	return words, verify
}

// queryDigits reads a text that is a telephone number or its end, however it is written. A national number's leading zero
// is not part of the international number the customer is filed under.
func queryDigits(text string) (digits string, ok bool) {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case strings.ContainsRune(" +-()./", r):
		default:
			return "", false
		}
	}
	digits = b.String()
	if len(digits) > maxSuffix && digits[0] == '0' {
		digits = strings.TrimLeft(digits, "0")
	}
	return digits, digits != ""
}
