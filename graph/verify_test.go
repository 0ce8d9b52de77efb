package graph

import (
	"strings"
	"testing"
)

// The vectors of §5.2.
func TestVerifyKnowsTheContractsVectors(t *testing.T) {
	const (
		first     = `{"object":"whatsapp_business_account","entry":[]}`
		spaced    = `{"object": "whatsapp_business_account", "entry": []}`
		utf8      = `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"calls","value":{"contacts":[{"profile":{"name":"Zoë"}}]}}]}]}`
		ours      = "appliance-test-secret"
		firstSign = "sha256=c7326753b87f54d6c14d80f862221e58e5ca3d9ce818ef700449cfbb4e6e8bc3"
	)
	escaped := strings.Replace(utf8, "ë", `\u00eb`, 1)
	for _, v := range []struct{ secret, body, header string }{
		{ours, first, firstSign},
		{ours, spaced, "sha256=82235798f0a7faac02310416b0c25e2bb33f869db617e0804f6b16250d4b9d4d"},
		{ours, utf8, "sha256=4048241c605b983453f6a5ace0283935bf71a379e940ceed45e3833c909d6f1d"},
		{ours, escaped, "sha256=4aa5cded1eb6a70472fe88ce5efcaf6667e6bd95edb894e937db1c0de04bab7e"},
		{"other-secret", first, "sha256=427319d9da742e75b6d633ec37fe8951457dd74f4362f2f7f3024b7047b06d2b"},
	} {
		if !Verify(NewSecret(v.secret), []byte(v.body), v.header) {
			t.Errorf("secret %q does not verify %s", v.secret, v.body)
		}
	}
	for name, bad := range map[string]struct{ secret, body, header string }{
		"other body":   {ours, spaced, firstSign},
		"other secret": {"other-secret", first, firstSign},
		"no header":    {ours, first, ""},
		"no prefix":    {ours, first, firstSign[7:]},
		"sha1":         {ours, first, "sha1=" + firstSign[7:]},
		"short":        {ours, first, firstSign[:60]},
		"not hex":      {ours, first, "sha256=" + strings.Repeat("z", 64)},
		"no secret":    {"", first, firstSign},
	} {
		if Verify(NewSecret(bad.secret), []byte(bad.body), bad.header) {
			t.Errorf("%s: verified", name)
		}
	}
}
