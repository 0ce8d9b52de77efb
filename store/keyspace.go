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
	tabUser     = 'U' // U + u + user → sealed account; U + n + HMAC(login) → user
	tabAccess   = 'A' // sessions and API tokens, see sessions.go
	tabSorted   = 'J' // ended calls sorted by time and by duration, see callindex.go; view
	tabCount    = 'I' // ended calls per day, see callindex.go; view
	tabWord     = 'N' // N + HMAC(search word) + customer → nothing; view
	tabWords    = 'T' // T + customer → the search words it is found by; view
)

var viewTables = []byte{tabSubject, tabMention, tabCall, tabTime, tabOpen, tabOwned, tabCustomer, tabIdentity, tabAlias,
	tabSorted, tabCount, tabWord, tabWords}

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

// timeKey sorts by time: the sign bit is flipped so that years before 1970 (a clock that isn't set) sort first.
func timeKey(at time.Time, call string) []byte {
	var ns int64
	if !at.IsZero() {
		ns = at.UnixNano()
	}
	return append(numKey(tabTime, uint64(ns)^(1<<63)), call...)
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func asU64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
