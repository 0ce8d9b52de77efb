package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// bucket is a storage that speaks as much of S3 as the archive uses, over HTTP. It is not minio's code.
type bucket struct {
	*httptest.Server
	mu       sync.Mutex
	objects  map[string][]byte
	requests []string
	down     int  // answers 503 so many times
	keepsSum bool // has checksums of its own
	spoil    bool // stores something else than it got
	signed   []string
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{objects: map[string][]byte{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r.Method)
	b.signed = append(b.signed, r.Header.Get("Authorization"))
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>`+code+`</Message></Error>`)
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/calls/")
	sum := sha256.Sum256(body)
	switch {
	case b.down > 0:
		b.down--
		refuse(http.StatusServiceUnavailable, "SlowDown")
	case !ok:
		refuse(http.StatusNotFound, "NoSuchBucket")
	case !strings.Contains(r.Header.Get("Authorization"), "Credential=AK/"):
		refuse(http.StatusForbidden, "AccessDenied")
	case r.Method == http.MethodPut && (err != nil || r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:])):
		refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch")
	case r.Method == http.MethodPut:
		if b.spoil {
			body[len(body)/2] ^= 1
		}
		b.objects[name] = body
		w.Header().Set("ETag", `"etag"`)
	case r.Method == http.MethodDelete:
		delete(b.objects, name)
		w.WriteHeader(http.StatusNoContent)
	case b.objects[name] == nil:
		refuse(http.StatusNotFound, "NoSuchKey")
	default:
		o := b.objects[name]
		h := w.Header()
		h.Set("Content-Length", strconv.Itoa(len(o)))
		h.Set("ETag", `"etag"`)
		h.Set("Last-Modified", noon.Format(http.TimeFormat))
		if b.keepsSum && r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
			sum := sha256.Sum256(o)
			h.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum[:]))
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write(o)
		}
	}
}

func (b *bucket) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bucket) asked() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.requests = nil }()
	return strings.Join(b.requests, " ")
}

func (b *bucket) archive(t *testing.T) *Archive {
	t.Helper()
	a, err := NewArchive(ArchiveConfig{Endpoint: b.URL, Bucket: "calls", Prefix: "box1/", AccessKey: "AK", SecretKey: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sealedItem is a recording with a real sealed file in dir.
func sealedItem(t *testing.T, dir, id string) Item {
	t.Helper()
	b := build(t, 50)
	it := aged(id, 1, func(it *Item) { it.Bytes, it.SHA256 = int64(len(b)), sha256.Sum256(b) })
	full := filepath.Join(dir, filepath.FromSlash(it.Path))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return it
}

// copying is a claimed folder with recordings, a storage, and a copier between them.
type copying struct {
	*Copier
	dir string
	cat *memCatalog
	s3  *bucket
}

func newCopying(t *testing.T, ids ...string) *copying {
	t.Helper()
	c := &copying{dir: t.TempDir(), cat: &memCatalog{}, s3: newBucket(t)}
	volume, err := Claim(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		c.cat.items = append(c.cat.items, sealedItem(t, c.dir, id))
	}
	c.Copier, err = NewCopier(CopierConfig{Dir: c.dir, VolumeID: volume, Catalog: c.cat, Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	c.SetArchive(c.s3.archive(t))
	return c
}

func TestACopyStaysSealedAndIsVerified(t *testing.T) {
	for name, want := range map[string]string{"by the storage's checksum": "PUT HEAD", "by reading it back": "PUT HEAD GET"} {
		t.Run(name, func(t *testing.T) {
			c := newCopying(t, "a")
			c.s3.set(func() { c.s3.keepsSum = !strings.HasSuffix(want, "GET") })
			if err := c.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := c.s3.asked(); got != want {
				t.Errorf("requests %q, want %q", got, want)
			}
			it := c.cat.items[0]
			if it.CopiedTo != "s3://calls/box1/"+it.Path {
				t.Errorf("copied to %q", it.CopiedTo)
			}
			if sha256.Sum256(c.s3.objects["box1/"+it.Path]) != it.SHA256 {
				t.Error("the copy is not the sealed file")
			}
			if err := c.Round(t.Context()); err != nil || c.s3.asked() != "" {
				t.Errorf("copied again: %v", err)
			}
		})
	}
}

func TestACopyThatIsNotWhatWasSentDoesNotCount(t *testing.T) {
	for _, sums := range []bool{true, false} {
		c := newCopying(t, "a")
		c.s3.set(func() { c.s3.spoil, c.s3.keepsSum = true, sums })
		if err := c.Round(t.Context()); !errors.Is(err, errCopy) {
			t.Errorf("checksums %v: %v", sums, err)
		}
		if c.cat.items[0].CopiedTo != "" {
			t.Error("the ledger says it is copied")
		}
	}
}

func TestAStorageThatIsDownHoldsUpAllUntilItIsBack(t *testing.T) {
	c := newCopying(t, "a", "b", "c")
	c.s3.set(func() { c.s3.down = 1 })
	if err := c.Round(t.Context()); err == nil || c.s3.asked() != "PUT" {
		t.Errorf("first round: %v", err)
	}
	if err := c.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, it := range c.cat.items {
		if it.CopiedTo == "" {
			t.Errorf("%s is not copied", it.ID)
		}
	}
}

func TestOneBadFileDoesNotHoldUpTheOthers(t *testing.T) {
	c := newCopying(t, "a", "b", "c", "d")
	if err := os.Truncate(filepath.Join(c.dir, c.cat.items[0].Path), 10); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.dir, c.cat.items[1].Path)); err != nil {
		t.Fatal(err)
	}
	c.cat.change("d", running)
	if err := c.Round(t.Context()); !errors.Is(err, errThisOne) {
		t.Errorf("round: %v", err)
	}
	if len(c.cat.lost) != 1 || c.cat.lost[0] != "b" {
		t.Errorf("lost: %v", c.cat.lost)
	}
	if c.cat.items[2].CopiedTo == "" {
		t.Error("c is not copied")
	}
	c.cat.change("d", func(it *Item) { it.Finished = true })
	_ = c.Round(t.Context())
	if c.cat.items[3].CopiedTo == "" {
		t.Error("d is not copied once it is finished")
	}
}

func TestADamagedFileIsNotCopied(t *testing.T) {
	c := newCopying(t, "a")
	path := filepath.Join(c.dir, c.cat.items[0].Path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "recording verify") {
		t.Errorf("round: %v", err)
	}
	if len(c.s3.objects) > 0 {
		t.Error("the damaged file is in the bucket")
	}
}

func TestWhatTheStorageRefusesIsExplained(t *testing.T) {
	s3 := newBucket(t)
	for want, cfg := range map[string]ArchiveConfig{
		"make the bucket":              {Endpoint: s3.URL, Bucket: "nothere", AccessKey: "AK", SecretKey: "s"},
		"recording.archive.access_key": {Endpoint: s3.URL, Bucket: "calls", AccessKey: "stranger", SecretKey: "s"},
	} {
		a, err := NewArchive(cfg)
		if err != nil {
			t.Fatal(err)
		}
		it := aged("a", 1, func(it *Item) { it.SHA256 = sha256.Sum256([]byte("x")); it.Bytes = 1 })
		if _, err := a.Copy(t.Context(), it, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want a hint at %q", err, want)
		}
	}
	if _, err := NewArchive(ArchiveConfig{Endpoint: "s3.example.com"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an endpoint without scheme: %v", err)
	}
}

func TestACopyIsRemovedFromItsOwnBucketOnly(t *testing.T) {
	s3 := newBucket(t)
	s3.objects["box1/x"] = []byte("x")
	a := s3.archive(t)
	if err := a.Remove(t.Context(), "s3://other/box1/x"); !errors.Is(err, ErrInvalid) || s3.asked() != "" {
		t.Errorf("another bucket: %v", err)
	}
	for range 2 { // gone is fine
		if err := a.Remove(t.Context(), "s3://calls/box1/x"); err != nil {
			t.Error(err)
		}
	}
	if len(s3.objects) > 0 {
		t.Error("the object is there")
	}
}

func TestTheCopierIsPatient(t *testing.T) {
	var last time.Duration
	for fails := 1; fails < 40; fails++ {
		d := backoff(30*time.Second, fails)
		if d < 15*time.Second || d > maxBackoff || fails < 6 && d < last/2 {
			t.Errorf("after %d failures: %v", fails, d)
		}
		last = d
	}
	c := newCopying(t)
	c.s3.set(func() { c.s3.down = 2 })
	c.cfg.Backoff = time.Millisecond
	c.cat.items = append(c.cat.items, sealedItem(t, c.dir, "a"))
	c.Start()
	c.Look()
	for end := time.Now().Add(10 * time.Second); testutil.ToFloat64(c.m.copied) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not copied")
		}
	}
	if err := c.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(c.m.failures); n != 2 {
		t.Errorf("%v failures counted", n)
	}
}
