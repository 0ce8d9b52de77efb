package admin

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"image/png"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// factor is a second factor: a TOTP secret (RFC 6238, SHA-1, 30 s, 6 digits: what every app knows) and recovery codes.
type factor struct {
	Secret    string   `json:"secret,omitempty"`
	Confirmed bool     `json:"confirmed,omitempty"` // a code was shown to us: it is asked for from now on
	LastStep  int64    `json:"last_step,omitempty"` // of the last code used: none is good twice (RFC 6238 §5.2)
	Recovery  []string `json:"recovery,omitempty"`  // SHA-256 of codes not used yet; 80 random bits need no slow hash
}

const (
	totpPeriod    = 30
	recoveryCodes = 10
)

var totpOptions = totp.ValidateOpts{Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// enrolment is what an authenticator app needs.
type enrolment struct {
	Secret string `json:"secret" doc:"Base32, for typing."`
	URI    string `json:"uri" doc:"otpauth:// address."`
	QR     string `json:"qr" doc:"The address as a QR code: data:image/png;base64,…"`
}

func newFactor(login string) (factor, enrolment, error) {
	k, err := totp.Generate(totp.GenerateOpts{Issuer: "deskbridge", AccountName: login, Period: totpPeriod, SecretSize: 20, Rand: rand.Reader})
	if err != nil {
		return factor{}, enrolment{}, fmt.Errorf("make second factor: %w", err)
	}
	img, err := k.Image(256, 256)
	if err != nil {
		return factor{}, enrolment{}, fmt.Errorf("draw second factor: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return factor{}, enrolment{}, fmt.Errorf("draw second factor: %w", err)
	}
	qr := "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
	return factor{Secret: k.Secret()}, enrolment{k.Secret(), k.URL(), qr}, nil
}

// accept takes a code, if it is good, out of what can be used: a TOTP code of this, the last or the next half minute, or
// a recovery code.
func (f *factor) accept(code string, now time.Time) bool {
	code = strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(code))
	if len(code) == 6 {
		return f.acceptTOTP(code, now)
	}
	sum := sha256.Sum256([]byte(code))
	want := hex.EncodeToString(sum[:])
	i := slices.IndexFunc(f.Recovery, func(have string) bool { return subtle.ConstantTimeCompare([]byte(have), []byte(want)) == 1 })
	if i < 0 {
		return false
	}
	f.Recovery = slices.Delete(slices.Clone(f.Recovery), i, i+1)
	return true
}

func (f *factor) acceptTOTP(code string, now time.Time) bool {
	for _, skew := range []int64{0, -1, 1} {
		step := now.Unix()/totpPeriod + skew
		want, err := totp.GenerateCodeCustom(f.Secret, time.Unix(step*totpPeriod, 0), totpOptions)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && step > f.LastStep {
			f.LastStep = step
			return true
		}
	}
	return false
}

// renewRecovery makes new recovery codes; only their hashes stay.
func (f *factor) renewRecovery() (codes []string) {
	f.Recovery = nil
	for range recoveryCodes {
		raw := strings.ToLower(rand.Text()[:16]) // 80 bits
		sum := sha256.Sum256([]byte(raw))
		f.Recovery = append(f.Recovery, hex.EncodeToString(sum[:]))
		codes = append(codes, raw[:4]+"-"+raw[4:8]+"-"+raw[8:12]+"-"+raw[12:])
	}
	return codes
}
