package appliance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freeConfig is a configuration whose listeners can all be bound now.
func freeConfig(t *testing.T) *Config {
	t.Helper()
	c := DefaultConfig()
	c.DataDir = t.TempDir()
	if err := os.Chmod(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.Webhook.Listen, c.Admin.Listen, c.Metrics.Listen, c.SIP.UDP, c.SIP.TCP = "127.0.0.1:0", "127.0.0.1:0", "", "127.0.0.1:0", ""
	return c
}

func find(t *testing.T, c *Config, name string) Finding {
	t.Helper()
	for _, check := range Preflight(c) {
		if check.Name == name {
			return check.Run(t.Context())
		}
	}
	t.Fatalf("there is no check %q", name)
	return Finding{}
}

func TestPreflightReportsEveryCheckAndCountsProblems(t *testing.T) {
	graph := httptest.NewServer(http.NotFoundHandler())
	defer graph.Close()
	c := freeConfig(t)
	c.Graph.BaseURL = graph.URL
	c.Media.HoldMusic = "/nonexistent.wav"
	var out bytes.Buffer
	n := RunChecks(t.Context(), Preflight(c), &out)
	text := out.String()
	for _, check := range Preflight(c) {
		if !strings.Contains(text, " "+check.Name+": ") {
			t.Errorf("no line about %s", check.Name)
		}
	}
	if n != strings.Count(text, string(ResultProblem)) || !strings.Contains(text, "PROBLEM  hold music: ") || !strings.Contains(text, "fix: correct media.hold_music") {
		t.Errorf("%d problems:\n%s", n, text)
	}
}

func TestPortInUseIsAProblem(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := freeConfig(t)
	if f := find(t, c, "listeners"); f.Result != ResultOK {
		t.Errorf("free ports: %+v", f)
	}
	c.Webhook.Listen = l.Addr().String()
	if f := find(t, c, "listeners"); f.Result != ResultProblem || !strings.Contains(f.Detail, "webhook.listen") {
		t.Errorf("taken port: %+v", f)
	}
}

func TestPortsAreNotTriedWhileTheDaemonRuns(t *testing.T) {
	_, dir := startControl(t, &memoryKeeper{}, fixedReporter{})
	c := freeConfig(t)
	c.DataDir = dir
	for _, name := range []string{"listeners", "media ports"} {
		if f := find(t, c, name); f.Result != ResultSkipped {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDataFolderMustExistAndBeClosedToOthers(t *testing.T) {
	c := freeConfig(t)
	if f := find(t, c, "data folder"); f.Result != ResultOK {
		t.Errorf("%+v", f)
	}
	if entries, _ := os.ReadDir(c.DataDir); len(entries) != 0 {
		t.Errorf("the check left %v", entries)
	}
	if err := os.Chmod(c.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if f := find(t, c, "data folder"); f.Result != ResultWarning {
		t.Errorf("open folder: %+v", f)
	}
	c.DataDir += "/missing"
	if f := find(t, c, "data folder"); f.Result != ResultProblem || !strings.Contains(f.Fix, "install -d") {
		t.Errorf("missing folder: %+v", f)
	}
}

func TestGraphOutOfReachIsAWarningOnly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // now nobody listens there
	c := freeConfig(t)
	c.Graph.BaseURL = "http://" + l.Addr().String()
	if f := find(t, c, "Graph API"); f.Result != ResultWarning || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}

func TestAddressThatIsNotOursIsFound(t *testing.T) {
	c := freeConfig(t)
	c.WebRTC.Address = "192.0.2.77"
	if f := find(t, c, "addresses"); f.Result != ResultProblem {
		t.Errorf("webrtc: %+v", f)
	}
	c = freeConfig(t)
	c.SIP.AdvertisedAddress = "192.0.2.77"
	if f := find(t, c, "addresses"); f.Result != ResultWarning {
		t.Errorf("sip: %+v", f)
	}
}

func TestClock(t *testing.T) {
	if f := checkClock(time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)); f.Result != ResultProblem {
		t.Errorf("%+v", f)
	}
}

func TestOpusWorksHere(t *testing.T) {
	if f := checkOpus(context.Background()); f.Result != ResultOK || !strings.Contains(f.Detail, "libopus") {
		t.Errorf("%+v", f)
	}
}

func TestCertificateIsLoadedAndItsTimeChecked(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	pair := TLSConfig{CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem")}
	if f := checkCertificate(pair, now); f.Result != ResultProblem {
		t.Errorf("missing files: %+v", f)
	}
	writeCertificate(t, pair, now.Add(-time.Hour), now.Add(90*24*time.Hour))
	if f := checkCertificate(pair, now); f.Result != ResultWarning || !strings.Contains(f.Detail, "self-signed") {
		t.Errorf("self-signed: %+v", f)
	}
	if f := checkCertificate(pair, now.Add(80*24*time.Hour)); f.Result != ResultWarning || !strings.Contains(f.Detail, "valid only until") {
		t.Errorf("soon over: %+v", f)
	}
	if f := checkCertificate(pair, now.Add(91*24*time.Hour)); f.Result != ResultProblem {
		t.Errorf("over: %+v", f)
	}
	if err := os.Chmod(pair.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if f := checkCertificate(pair, now); f.Result != ResultProblem || !strings.Contains(f.Fix, "chmod") {
		t.Errorf("readable key: %+v", f)
	}
}

func writeCertificate(t *testing.T, pair TLSConfig, from, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, DNSNames: []string{"calls.example.com"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{pair.CertFile: {Type: "CERTIFICATE", Bytes: cert}, pair.KeyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
