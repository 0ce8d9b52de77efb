package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Limits of a request and of what a client may do.
const (
	maxBody       = 64 << 10
	maxSettings   = 512 << 10
	maxHeaders    = 64
	requestHeader = "X-Deskbridge" // any value; what a form or another origin cannot send
)

// Names of the session's cookie. The prefix makes browsers demand Secure, Path=/ and no Domain (RFC 6265bis §4.1.3.2), so
// it exists over TLS only.
const (
	cookieTLS   = "__Host-deskbridge"
	cookiePlain = "deskbridge"
)

// principal is who a request comes from.
type principal struct {
	user    User
	session string // ID; empty with a token
	secret  string // of the session
	token   *Token
}

type contextKey int

const (
	principalKey contextKey = iota
	clientKey
	nonceKey
)

// client is where a request comes from, as far as the configured proxies are believed.
type client struct {
	address netip.Addr
	secure  bool // TLS up to us or to a trusted proxy
}

func clientOf(ctx context.Context) client {
	c, _ := ctx.Value(clientKey).(client)
	return c
}

func principalOf(ctx context.Context) *principal {
	p, _ := ctx.Value(principalKey).(*principal)
	return p
}

// actor is the principal for the audit log.
func actor(ctx context.Context) Actor {
	a := Actor{Address: clientOf(ctx).address}
	if p := principalOf(ctx); p != nil {
		a.ID, a.Login = p.user.ID, p.user.Login
		if p.token != nil {
			a.Token = p.token.ID
		}
	}
	return a
}

// guarded puts everything that concerns all requests in front of the router.
func (s *Server) guarded(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return s.fence(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.client(r)
		nonce := rand.Text()
		secureHeaders(w.Header(), c.secure, nonce)
		ctx := context.WithValue(context.WithValue(r.Context(), clientKey, c), nonceKey, nonce)
		r = r.WithContext(ctx)
		if n := len(r.Header); n > maxHeaders {
			refuse(w, problem(http.StatusRequestHeaderFieldsTooLarge, "Too many headers.").as("too_large"))
			return
		}
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		if !s.limits.allow(addressKey(c.address), anonymousRate) {
			s.tooFast(w)
			return
		}
		most := bodyLimit(r.URL.Path)
		if r.ContentLength > most {
			w.Header().Set("Connection", "close") // what is still to come is not read
			refuse(w, problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("This request has at most %d KiB.", most>>10)))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		w.Header().Set("Cache-Control", "no-store")
		p, err := s.identify(r, c)
		if err != nil {
			s.refuseErr(w, r, err)
			return
		}
		if unsafeMethod(r.Method) && (p == nil || p.token == nil) {
			if crossOrigin.Check(r) != nil || r.Header.Get(requestHeader) == "" {
				refuse(w, problem(http.StatusForbidden, "Requests that change something need the header "+requestHeader+" and the panel's own origin.").as("cross_origin"))
				return
			}
		}
		if p != nil {
			if !s.limits.allow("user "+p.user.ID, userRate) {
				s.tooFast(w)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), principalKey, p))
		}
		s.once.wrap(next).ServeHTTP(w, r)
	}))
}

// bodyLimit: a settings document may be as large as the store takes one, everything else is small.
func bodyLimit(path string) int64 {
	if strings.HasPrefix(path, "/api/v1/settings") {
		return maxSettings
	}
	return maxBody
}

func (s *Server) tooFast(w http.ResponseWriter) {
	p := problem(http.StatusTooManyRequests, "Too many requests; slow down.")
	p.wait = 1
	refuse(w, p)
}

func (s *Server) refuseErr(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	if errors.As(s.problemOf(r.Context(), err), &p) {
		refuse(w, p)
	}
}

func unsafeMethod(m string) bool {
	return m != http.MethodGet && m != http.MethodHead && m != http.MethodOptions
}

// identify finds who asks: nil for nobody. A credential that is not good any more is nobody's, so that signing in works
// with an old cookie; an API token that is not good is refused, its owner must hear of it.
func (s *Server) identify(r *http.Request, c client) (*principal, error) {
	if auth := r.Header.Get("Authorization"); auth != "" {
		secret, ok := strings.CutPrefix(auth, "Bearer ")
		if !ok {
			return nil, problem(http.StatusUnauthorized, "Authorization is by Bearer token.")
		}
		u, t, err := s.accounts.bearer(r.Context(), secret)
		if errors.Is(err, ErrNotFound) {
			return nil, problem(http.StatusUnauthorized, "This token is unknown, expired or deleted.")
		}
		if err != nil {
			return nil, err
		}
		return &principal{user: u, token: &t}, nil
	}
	cookie, err := r.Cookie(cookieName(c.secure))
	if err != nil || cookie.Value == "" || len(cookie.Value) > 128 {
		return nil, nil //nolint:nilerr // no cookie: nobody
	}
	u, id, err := s.accounts.resume(r.Context(), cookie.Value, true)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &principal{user: u, session: id, secret: cookie.Value}, nil
}

func cookieName(secure bool) string {
	if secure {
		return cookieTLS
	}
	return cookiePlain
}

// sessionCookie is the Set-Cookie value; an empty secret takes the cookie away.
func sessionCookie(c client, secret string) string {
	age := int(sessionLifetime.Seconds())
	if secret == "" {
		age = -1
	}
	cookie := http.Cookie{Name: cookieName(c.secure), Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.secure, MaxAge: age}
	return cookie.String()
}

// client tells where a request comes from. The header is read from its end: each trusted proxy has appended whom it heard
// from, and what stands further left anybody may have written.
func (s *Server) client(r *http.Request) client {
	c := client{secure: r.TLS != nil}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return c
	}
	c.address = peer.Addr().Unmap()
	if !s.trusted(c.address) {
		return c
	}
	c.secure = c.secure || r.Header.Get("X-Forwarded-Proto") == "https"
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return c
		}
		c.address = a.Unmap()
		if !s.trusted(c.address) {
			return c
		}
	}
	return c
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, n := range s.proxies {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// secureHeaders are on every answer. The policy allows what the panel brings itself and inline styles that bear the
// nonce; scripts only as files.
func secureHeaders(h http.Header, secure bool, nonce string) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; img-src 'self' data:; media-src 'self' blob:; "+
		"font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
