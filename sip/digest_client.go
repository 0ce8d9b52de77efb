package sip

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/icholy/digest"

	msg "github.com/emiago/sipgo/sip"
)

// credentials answer the digest challenges of one trunk, and of no one else.
type credentials struct {
	user     string
	password Secret

	mu   sync.Mutex
	last string // nonce answered last, with nc its count
	nc   int
}

var (
	errNoChallenge = errors.New("no digest challenge we can answer")
	errRefused     = errors.New("the far end refused our credentials")
)

// strength orders algorithms, strongest highest (RFC 8760 §2.4). "" is MD5 (RFC 7616 §3.3).
var strength = map[string]int{"": 1, "MD5": 1, "SHA-256": 2, "SHA-512-256": 3}

// challenges reads the challenges of a 401 or 407: every header, not only the first.
func challenges(res *msg.Response) []*digest.Challenge {
	name := "www-authenticate"
	if res.StatusCode == 407 {
		name = "proxy-authenticate"
	}
	var out []*digest.Challenge
	for i, h := range res.GetHeaders(name) {
		if i == 8 {
			break
		}
		if c := parseChallenge(h.Value()); c != nil {
			out = append(out, c)
		}
	}
	return out
}

func parseChallenge(v string) *digest.Challenge {
	if len(v) > maxHeaderLine {
		return nil
	}
	c, err := digest.ParseChallenge(v)
	if err != nil || c.Nonce == "" || c.Userhash {
		return nil
	}
	c.Algorithm = strings.ToUpper(c.Algorithm)
	for i := range c.QOP {
		c.QOP[i] = strings.ToLower(strings.TrimSpace(c.QOP[i]))
	}
	if strength[c.Algorithm] == 0 || (len(c.QOP) > 0 && !slices.Contains(c.QOP, "auth")) {
		return nil
	}
	for _, s := range []string{c.Realm, c.Nonce, c.Opaque} {
		if strings.ContainsAny(s, "\"\r\n\\") { // would leave its quotes in our answer
			return nil
		}
	}
	return c
}

// strongest picks the challenge to answer.
func strongest(cs []*digest.Challenge) *digest.Challenge {
	var best *digest.Challenge
	for _, c := range cs {
		if best == nil || strength[c.Algorithm] > strength[best.Algorithm] {
			best = c
		}
	}
	return best
}

// attempt is the digest state of one request: a nonce is answered once, another only when the first was stale.
type attempt struct {
	nonces []string
	realm  string
}

// authorize puts the answer to res on req, which must be a fresh copy with a CSeq of its own. It refuses when the same
// nonce comes back, when a fresh nonce comes without stale (the password is wrong), and when the realm changes.
func (c *credentials) authorize(req *msg.Request, res *msg.Response, a *attempt) error {
	if c == nil {
		return errNoChallenge
	}
	ch := strongest(challenges(res))
	if ch == nil {
		return errNoChallenge
	}
	if len(a.nonces) > 0 && (!ch.Stale || slices.Contains(a.nonces, ch.Nonce) || len(a.nonces) > 2 || ch.Realm != a.realm) {
		return errRefused
	}
	a.nonces, a.realm = append(a.nonces, ch.Nonce), ch.Realm
	cred, err := digest.Digest(ch, digest.Options{
		Method: string(req.Method), URI: req.Recipient.String(), Username: c.user, Password: string(c.password),
		Count: c.count(ch.Nonce), Cnonce: token(8),
	})
	if err != nil {
		return err
	}
	name := "Authorization"
	if res.StatusCode == 407 {
		name = "Proxy-Authorization"
	}
	req.RemoveHeader("Authorization")
	req.RemoveHeader("Proxy-Authorization")
	req.AppendHeader(msg.NewHeader(name, cred.String()))
	return nil
}

// count is nc: how often this nonce was used by us (RFC 7616 §3.4).
func (c *credentials) count(nonce string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nonce {
		c.last, c.nc = nonce, 0
	}
	c.nc++
	return c.nc
}
