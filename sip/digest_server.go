package sip

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/icholy/digest"

	msg "github.com/emiago/sipgo/sip"
)

// How phones log in (reliability.md, "Credentials").
const (
	nonceLife    = time.Minute
	loginWindow  = 15 * time.Minute
	loginTries   = 10
	maxNonces    = 4096
	maxLoginKeys = 4096
)

// digestServer makes and checks challenges (RFC 8760, RFC 7616). A nonce carries its own time and proof, so that a
// stranger's challenge costs no memory; only nonces that were answered are remembered, for the replay check.
type digestServer struct {
	realm string
	key   [32]byte

	mu     sync.Mutex
	used   map[string]usedNonce
	failed map[string]failures
	silent map[string]int // challenges a phone left unanswered
}

type usedNonce struct {
	nc   int
	seen uint64 // the 64 counts below and including nc, as bits
	ends time.Time
}

type failures struct {
	n     int
	since time.Time
}

func newDigestServer(realm string) *digestServer {
	d := &digestServer{realm: realm, used: map[string]usedNonce{}, failed: map[string]failures{}, silent: map[string]int{}}
	_, _ = rand.Read(d.key[:])
	return d
}

// verdict of a login.
type login uint8

const (
	loginNone   login = iota // no credentials: challenge
	loginStale               // right but old nonce: challenge with stale=true
	loginFailed              // challenge again
	loginLocked              // too many failures: refuse
	loginBad                 // malformed
	loginOK
)

// challengeHeaders are the WWW-Authenticate headers of a 401: MD5 and SHA-256, in this order. RFC 8760 §2.4 would have the
// stronger first, but there are peers that look at the first header only and give up at an algorithm they do not know
// (SIPp 3.6.1, Nov 2026). A phone that takes the strongest it knows still finds SHA-256.
func (d *digestServer) challengeHeaders(now time.Time, req *msg.Request, from netip.Addr, stale bool) []msg.Header {
	algorithms := []string{"MD5", "SHA-256"}
	if d.onlyMD5(req, from) {
		algorithms = algorithms[:1]
	}
	var out []msg.Header
	for _, alg := range algorithms {
		c := digest.Challenge{Realm: d.realm, Nonce: d.nonce(now, from), Algorithm: alg, QOP: []string{"auth"}, Stale: stale}
		out = append(out, msg.NewHeader("WWW-Authenticate", c.String()))
	}
	return out
}

// onlyMD5 finds phones that give up at an algorithm they do not know instead of taking the other header: baresip 1.0.0
// does ("Function not implemented", Nov 2026), so its older versions are known by name, and any other phone that left two
// challenges unanswered gets MD5 alone from then on.
func (d *digestServer) onlyMD5(req *msg.Request, from netip.Addr) bool {
	if h := req.GetHeader("user-agent"); h != nil {
		if v := h.Value(); strings.HasPrefix(v, "baresip v0.") || strings.HasPrefix(v, "baresip v1.") {
			return true
		}
	}
	key := silentKey(req, from)
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.GetHeader("authorization") != nil {
		delete(d.silent, key)
		return false
	}
	if d.silent[key] >= 2 {
		return true
	}
	if len(d.silent) < maxLoginKeys {
		d.silent[key]++
	} else {
		clear(d.silent) // cheap to learn again
	}
	return false
}

func silentKey(req *msg.Request, from netip.Addr) string {
	return cleanText(req.From().Address.User, maxID) + "|" + from.String()
}

// nonce is time, randomness and an HMAC over both and the address it was given to.
func (d *digestServer) nonce(now time.Time, from netip.Addr) string {
	var b [32]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli()))
	_, _ = rand.Read(b[8:16])
	copy(b[16:], d.sign(b[:16], from))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (d *digestServer) sign(b []byte, from netip.Addr) []byte {
	m := hmac.New(sha256.New, d.key[:])
	m.Write(b)
	m.Write(from.AsSlice())
	return m.Sum(nil)[:16]
}

// checkNonce tells whether we made the nonce for this address, and whether it is too old.
func (d *digestServer) checkNonce(n string, now time.Time, from netip.Addr) (ours, fresh bool) {
	b, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil || len(b) != 32 || !hmac.Equal(b[16:], d.sign(b[:16], from)) {
		return false, false
	}
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]))))
	return true, age >= -time.Second && age <= nonceLife
}

// check verifies the Authorization of a request. password returns a phone's secret; for unknown users it must return
// something too, so that both take the same time.
func (d *digestServer) check(req *msg.Request, from netip.Addr, now time.Time, password func(user string) (Secret, bool)) (string, login) {
	cred := credentialsOf(req, d.realm)
	if cred == nil {
		if req.GetHeader("authorization") != nil {
			return "", loginBad
		}
		return "", loginNone
	}
	key := cred.Username + "|" + from.String()
	if d.locked(key, now) {
		return cred.Username, loginLocked
	}
	ours, fresh := d.checkNonce(cred.Nonce, now, from)
	secret, known := password(cred.Username)
	right := d.matches(cred, string(req.Method), secret) && known
	switch {
	case !ours:
		return cred.Username, loginStale // made before our restart, or by somebody else: either way take a new one
	case !right:
		d.fail(key, now)
		return cred.Username, loginFailed
	case !fresh || !d.count(cred, now):
		return cred.Username, loginStale
	}
	d.mu.Lock()
	if k := silentKey(req, from); cred.Algorithm == "SHA-256" {
		delete(d.silent, k)
	}
	d.mu.Unlock()
	return cred.Username, loginOK
}

// credentialsOf finds the digest credentials for our realm.
func credentialsOf(req *msg.Request, realm string) *digest.Credentials {
	for i, h := range req.GetHeaders("authorization") {
		if i == 4 {
			break
		}
		if c := parseCredentials(h.Value()); c != nil && c.Realm == realm {
			return c
		}
	}
	return nil
}

func parseCredentials(v string) *digest.Credentials {
	if len(v) > maxHeaderLine {
		return nil
	}
	c, err := digest.ParseCredentials(v)
	if err != nil || c.Userhash || len(c.Username) > maxID || len(c.Nonce) > maxID || c.Nc < 0 {
		return nil
	}
	c.Algorithm = strings.ToUpper(c.Algorithm)
	c.QOP = strings.ToLower(c.QOP)
	if (c.Algorithm != "" && c.Algorithm != "MD5" && c.Algorithm != "SHA-256") || (c.QOP != "" && c.QOP != "auth") {
		return nil
	}
	return c
}

func (d *digestServer) matches(c *digest.Credentials, method string, secret Secret) bool {
	ch := &digest.Challenge{Realm: c.Realm, Nonce: c.Nonce, Algorithm: c.Algorithm}
	if c.QOP != "" {
		ch.QOP = []string{c.QOP}
	}
	want, err := digest.Digest(ch, digest.Options{
		Method: method, URI: c.URI, Username: c.Username, Password: string(secret), Count: c.Nc, Cnonce: c.Cnonce,
	})
	return err == nil && (c.QOP == "" || (c.Nc > 0 && c.Cnonce != "")) &&
		subtle.ConstantTimeCompare([]byte(want.Response), []byte(c.Response)) == 1
}

// count takes a nonce count once (RFC 7616 §3.4, nc). Without qop there is no count and a nonce is good once. A full
// table refuses: the phone gets a new nonce, which costs it one round trip.
func (d *digestServer) count(c *digest.Credentials, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u, ok := d.used[c.Nonce]
	if !ok {
		if len(d.used) >= maxNonces {
			d.sweep(now)
			if len(d.used) >= maxNonces {
				return false
			}
		}
		d.used[c.Nonce] = usedNonce{nc: c.Nc, seen: 1, ends: now.Add(nonceLife + time.Second)}
		return true
	}
	if c.QOP == "" {
		return false
	}
	switch diff := c.Nc - u.nc; {
	case diff > 0: // higher than any before
		if diff > 63 {
			u.seen = 0
		} else {
			u.seen <<= diff
		}
		u.seen |= 1
		u.nc = c.Nc
	case diff < -63 || u.seen&(1<<-diff) != 0: // too old to tell, or seen
		return false
	default: // late but new: two requests of one phone crossed
		u.seen |= 1 << -diff
	}
	d.used[c.Nonce] = u
	return true
}

func (d *digestServer) sweep(now time.Time) {
	for n, u := range d.used {
		if now.After(u.ends) {
			delete(d.used, n)
		}
	}
}

func (d *digestServer) locked(key string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.failed[key]
	return ok && f.n >= loginTries && now.Sub(f.since) < loginWindow
}

func (d *digestServer) fail(key string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.failed[key]
	if !ok || now.Sub(f.since) >= loginWindow {
		if !ok && len(d.failed) >= maxLoginKeys {
			d.forget(now)
		}
		f = failures{since: now}
	}
	f.n++
	d.failed[key] = f
}

// forget makes room: the ended windows, or any one entry when all are current.
func (d *digestServer) forget(now time.Time) {
	for k, f := range d.failed {
		if now.Sub(f.since) >= loginWindow {
			delete(d.failed, k)
		}
	}
	for k := range d.failed {
		if len(d.failed) < maxLoginKeys {
			return
		}
		delete(d.failed, k)
	}
}
