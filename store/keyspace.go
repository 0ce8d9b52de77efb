package store

import (
	"encoding/binary"
	"time"
)

// Badger keys start with one byte that names the table. Nothing personal is ever in a key: identities and inbox keys
// are looked up by HMAC.
const (
	tabMeta     = 'm' // m/name → marker
	tabFact     = 'f' // f + sequence → sealed record; the ledger
	tabSubject  = 's' // s + subject → version (sequence of the newest fact naming it); view
	tabMention  = 'S' // S + subject + 0 + sequence → nothing; view
	tabCall     = 'c' // c + call → sealed CDR; view
	tabTime     = 'i' // i + offered-at + call → nothing; view
	tabOpen     = 'o' // o + call → nothing; view
	tabOwned    = 'x' // x + customer + 0 + call → nothing; view
	tabCustomer = 'u' // u + customer → sealed record; view
	tabIdentity = 'h' // h + HMAC(identity) → customer; view
	tabAlias    = 'a' // a + alias → customer; view
	tabKey      = 'k' // k + owner → wrapped key
	tabErased   = 'e' // e + customer → time of erasure
	tabDedupe   = 'd' // d + HMAC(inbox key) → arrival number, or 0 when done
	tabPending  = 'w' // w + arrival number → sealed body or its part list
	tabPart     = 'p' // p + blob id + part → sealed part of a big body
	tabSettings = 'y' // y → sealed settings document

	tabPair      = 'P' // P + customer + 0 + line → policy state; view
	tabGlobal    = 'G' // G + customer → policy state over all lines; view
	tabDecision  = 'D' // D + call → sequence of its newest decision; view
	tabCallback  = 'b' // b + callback → sealed record; view
	tabMessage   = 'n' // n + message → sealed record; view
	tabWatch     = 'q' // q + watch → record; view
	tabRecording = 'r' // r + recording → sealed record; view
	tabAgent     = 'g' // g + target → record; view
	tabLine      = 'l' // l + line → record; view
	tabIndex     = 'I' // I + table + index letter + … → ID of the row; view
	tabTotal     = 't' // t + table + name → sum; view

	tabUser   = 'U' // U + u + user → sealed account; U + n + HMAC(login) → user
	tabAccess = 'A' // sessions and API tokens, see sessions.go
	tabSorted = 'J' // ended calls sorted by time and by duration, see callindex.go; view
	tabCount  = 'Z' // ended calls per day, see callindex.go; view
	tabWord   = 'N' // N + HMAC(search word) + customer → nothing; view
	tabWords  = 'T' // T + customer → the search words it is found by; view
)

var viewTables = []byte{tabSubject, tabMention, tabCall, tabTime, tabOpen, tabOwned, tabCustomer, tabIdentity, tabAlias,
	tabPair, tabGlobal, tabDecision, tabCallback, tabMessage, tabWatch, tabRecording, tabAgent, tabLine, tabIndex, tabTotal,
	tabSorted, tabCount, tabWord, tabWords}

// sealedViews are the view tables whose values are records (record.go).
var sealedViews = []byte{tabCall, tabCustomer, tabPair, tabGlobal, tabCallback, tabMessage, tabWatch, tabRecording, tabAgent, tabLine}

var (
	keySchema   = []byte{tabMeta, 's'}
	keyCheck    = []byte{tabMeta, 'c'}
	keyAliasSeq = []byte{tabMeta, 'a'}
	keyRebuild  = []byte{tabMeta, 'r'}
	keySettings = []byte{tabSettings}
	keyIndexed  = []byte{tabMeta, 'i'} // the indexes of callindex.go are there
)

func key(table byte, parts ...string) []byte {
	n := 1
	for _, p := range parts {
		n += len(p) + 1
	}
	k := make([]byte, 1, n)
	k[0] = table
	for i, p := range parts {
		if i > 0 {
			k = append(k, 0)
		}
		k = append(k, p...)
	}
	return k
}

func numKey(table byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{table}, n)
}

func mentionKey(subject string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(key(tabMention, subject), 0), seq)
}

// sortable sorts by time: the sign bit is flipped so that years before 1970 (a clock that isn't set) sort first.
func sortable(at time.Time) uint64 {
	var ns int64
	if !at.IsZero() {
		ns = at.UnixNano()
	}
	return uint64(ns) ^ (1 << 63)
}

func timeKey(at time.Time, call string) []byte { return append(numKey(tabTime, sortable(at)), call...) }

// indexPrefix begins the entries of one index of a table of rows; parts narrow it down.
func indexPrefix(table, letter byte, parts ...string) []byte {
	k := []byte{tabIndex, table, letter}
	for _, p := range parts {
		k = append(append(k, p...), 0)
	}
	return k
}

// indexKey is an entry that sorts by time.
func indexKey(prefix []byte, at time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64(prefix, sortable(at)), id...)
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func asU64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
