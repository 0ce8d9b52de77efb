package appliance

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"deskbridge/recorder"
	"deskbridge/store"
)

// LinkPath is where the links of Link are served.
const LinkPath = "/recordings/"

const (
	linkMACSize = 16
	linkHead    = 8 + 1 // expiry, format
	maxLink     = 512   // characters of a token
	maxLinkTTL  = 7 * 24 * time.Hour
	maxLinkWho  = 64
)

// ErrLink: a link is not one of ours, or over.
var ErrLink = errors.New("the link is not valid, or not any more")

// Link makes a link under which a recording can be fetched in one format, by whoever has it, until it expires: at most 7 days.
// It is relative to the admin listener. The making is audited, and so is each use.
func (r *Recordings) Link(ctx context.Context, id string, format recorder.ExportFormat, ttl time.Duration, by Accessor) (string, error) {
	if ttl <= 0 || ttl > maxLinkTTL {
		return "", fmt.Errorf("link to recording %s: it would last %v: use at most %v", id, ttl, maxLinkTTL)
	}
	if err := r.store.AuditRecording(ctx, id, store.RecordingLinked, by.Who, by.From, r.now()); err != nil {
		return "", err
	}
	return LinkPath + r.token(linkClaim{id, format, r.now().Add(ttl), by.Who}), nil
}

// linkClaim is what a token says.
type linkClaim struct {
	id     string
	format recorder.ExportFormat
	until  time.Time
	who    string // made it
}

// token is base64url of expiry (8, Unix seconds), format (1), who (length 1 and bytes), recording ID, MAC (16 bytes of
// HMAC-SHA-256 over all before).
func (r *Recordings) token(c linkClaim) string {
	who := c.who[:min(len(c.who), maxLinkWho)]
	b := binary.BigEndian.AppendUint64(nil, uint64(c.until.Unix()))
	b = append(b, byte(c.format), byte(len(who)))
	b = append(append(b, who...), c.id...)
	return base64.RawURLEncoding.EncodeToString(append(b, r.linkMAC(b)...))
}

func (r *Recordings) linkMAC(b []byte) []byte {
	m := hmac.New(sha256.New, r.linkKey)
	m.Write(b)
	return m.Sum(nil)[:linkMACSize]
}

// claim reads a token. Nothing in it is believed before its MAC.
func (r *Recordings) claim(token string, now time.Time) (linkClaim, error) {
	if len(token) > maxLink {
		return linkClaim{}, ErrLink
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < linkHead+1+linkMACSize {
		return linkClaim{}, ErrLink
	}
	body, mac := b[:len(b)-linkMACSize], b[len(b)-linkMACSize:]
	if !hmac.Equal(mac, r.linkMAC(body)) {
		return linkClaim{}, ErrLink
	}
	c := linkClaim{until: time.Unix(int64(binary.BigEndian.Uint64(body)), 0), format: recorder.ExportFormat(body[8])}
	n := int(body[9])
	if len(body) < linkHead+1+n || !now.Before(c.until) {
		return linkClaim{}, ErrLink
	}
	c.who, c.id = string(body[10:10+n]), string(body[10+n:])
	return c, nil
}

// Links serves the links. Range requests work; what is wrong with a link is not told to strangers.
func (r *Recordings) Links() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		c, err := r.claim(strings.TrimPrefix(req.URL.Path, LinkPath), r.now())
		if err != nil {
			http.Error(w, "This link is not valid, or not any more.", http.StatusNotFound)
			return
		}
		host, _, err := net.SplitHostPort(req.RemoteAddr)
		if err != nil {
			host = req.RemoteAddr
		}
		e, err := r.OpenExport(req.Context(), c.id, c.format, Accessor{Who: c.who, From: "link, " + host})
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrNoFile):
			http.Error(w, "This recording is not here any more.", http.StatusGone)
		case err != nil:
			r.log.Error("a linked recording could not be served", "recording", c.id, "err", err)
			http.Error(w, "The recording cannot be read now.", http.StatusServiceUnavailable)
		default:
			serveExport(w, req, e, true)
		}
	})
}

// writeLimit is how long one piece of a recording may take to be sent: a listener's server ends answers after a fixed time,
// and this one may last as long as it goes on.
const writeLimit = 30 * time.Second

// serveExport answers with an export, or the part asked for, and closes it.
func serveExport(w http.ResponseWriter, req *http.Request, e *RecordingExport, attach bool) {
	defer e.Close()
	h := w.Header()
	h.Set("Content-Type", e.ContentType)
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", fmt.Sprintf(`"%s-%d"`, e.Recording.ID, e.Size))
	if attach {
		h.Set("Content-Disposition", `attachment; filename="`+e.Name+`"`) // letters, digits, . _ - only: validCall
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // else the server takes the silence after a long while for a client that left
	http.ServeContent(&pacedWriter{w, c}, req, "", e.Recording.FinishedAt, e)
}

// pacedWriter moves the deadline on with each piece.
type pacedWriter struct {
	http.ResponseWriter
	c *http.ResponseController
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(writeLimit)) // a writer without deadlines is a test's
	return p.ResponseWriter.Write(b)
}
