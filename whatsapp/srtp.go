package whatsapp

import (
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
)

// srtpProfiles are offered in use_srtp (RFC 5764 §4.1.2), the cheaper first: GCM costs 0.13 µs per packet, AES-CM 0.45.
var srtpProfiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}

// srtpOverhead is the most a profile adds to a packet: 16 bytes of GCM tag, or for RTCP tag and index (RFC 7714 §9).
const srtpOverhead = 24

// srtpKeys are the contexts of one session. RTP and RTCP are sent under the same key from different goroutines, and a
// context isn't safe for that: two contexts, whose indexes and derived keys are separate anyway (RFC 3711 §4.3).
type srtpKeys struct {
	in, out, outRTCP *srtp.Context
}

// deriveSRTP takes the keys out of a finished handshake (RFC 5764 §4.2).
func deriveSRTP(c *dtls.Conn, client bool) (*srtpKeys, error) {
	chosen, ok := c.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, fmt.Errorf("%w: peer chose no SRTP profile", ErrMediaDTLS)
	}
	profile, ok := map[dtls.SRTPProtectionProfile]srtp.ProtectionProfile{
		dtls.SRTP_AEAD_AES_128_GCM:       srtp.ProtectionProfileAeadAes128Gcm,
		dtls.SRTP_AES128_CM_HMAC_SHA1_80: srtp.ProtectionProfileAes128CmHmacSha1_80,
	}[chosen]
	if !ok {
		return nil, fmt.Errorf("%w: SRTP profile 0x%04x wasn't offered", ErrMediaDTLS, uint16(chosen))
	}
	state, ok := c.ConnectionState()
	if !ok {
		return nil, fmt.Errorf("%w: no connection state", ErrMediaDTLS)
	}
	cfg := srtp.Config{Profile: profile}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return nil, fmt.Errorf("%w: export keys: %w", ErrMediaDTLS, err)
	}
	return newSRTPKeys(profile, cfg.Keys)
}

func newSRTPKeys(profile srtp.ProtectionProfile, k srtp.SessionKeys) (keys *srtpKeys, err error) {
	keys = new(srtpKeys)
	// Without these options pion keeps no replay list at all.
	if keys.in, err = srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, profile,
		srtp.SRTPReplayProtection(128), srtp.SRTCPReplayProtection(64)); err != nil {
		return nil, fmt.Errorf("SRTP receive context: %w", err)
	}
	for _, c := range []**srtp.Context{&keys.out, &keys.outRTCP} {
		if *c, err = srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, profile); err != nil {
			return nil, fmt.Errorf("SRTP send context: %w", err)
		}
	}
	return keys, nil
}
