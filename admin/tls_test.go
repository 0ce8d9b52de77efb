package admin

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestOverTLSTheCookieIsBoundToTheHost(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS() // for its certificate
	defer cert.Close()
	r := newRig(t, func(o *Options) {
		o.TLS = &tls.Config{Certificates: cert.TLS.Certificates, MinVersion: tls.VersionTLS12}
	}).start()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: cert.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}
	transport.TLSClientConfig.ServerName = "example.com" // httptest's
	client := &http.Client{Timeout: 10 * time.Second, Transport: transport}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.s.URL()+"/api/v1/session", strings.NewReader(`{"login":"agent","password":"`+testPassword+`"}`))
	r.must(err)
	req.Header.Set(requestHeader, "1")
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	r.must(err)
	defer res.Body.Close()
	c := cookieOf(answered{Response: res})
	if res.StatusCode != 200 || c.Name != cookieTLS || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d, cookie %+v", res.StatusCode, c)
	}
	if !strings.HasPrefix(r.s.URL(), "https://") {
		t.Error(r.s.URL())
	}
	if plain, err := http.Get("http://" + r.s.Addr().String() + "/healthz"); err == nil {
		plain.Body.Close()
		if plain.StatusCode == 200 {
			t.Error("plain HTTP is answered")
		}
	}
}
