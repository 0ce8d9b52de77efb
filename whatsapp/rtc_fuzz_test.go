package whatsapp

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

func FuzzParseSDP(f *testing.F) {
	f.Add(sdpMetaOffer)
	f.Add(without(sdpMetaOffer, "a=candidate", "a=ice-lite"))
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseSDP(text)
		if err != nil {
			return
		}
		// What we took we can answer, and what we wrote we can read.
		l := localSDP{addr: netip.MustParseAddrPort("127.0.0.1:9"), ufrag: "abcd", pwd: "0123456789012345678901", setup: setupActive,
			opus: r.opus, dtmf: r.dtmf, digit: r.digit, sections: r.sections, audio: r.audio, bundled: r.bundled, direction: answerDirection(r.direction)}
		if len(r.sections) > 1 {
			return // refused sections repeat the other side's own words
		}
		if _, err := parseSDP(l.String()); err != nil {
			t.Errorf("our answer: %v\n%s", err, l.String())
		}
	})
}

// offlineSession is a session with keys and no network, and the context that encrypts as its peer.
func offlineSession(t testing.TB) (*mediaSession, *srtp.Context) {
	t.Helper()
	f, err := newMediaFactory(MediaConfig{IP: netip.MustParseAddr("127.0.0.1")})
	must(t, err)
	s, err := f.open(mediaHandlers{})
	must(t, err)
	t.Cleanup(s.Close)
	_, err = s.Answer(sdpMetaOffer)
	must(t, err)
	key := make([]byte, 28)
	_, _ = rand.Read(key)
	k := srtp.SessionKeys{LocalMasterKey: key[:16], LocalMasterSalt: key[16:], RemoteMasterKey: key[:16], RemoteMasterSalt: key[16:]}
	keys, err := newSRTPKeys(srtp.ProtectionProfileAeadAes128Gcm, k)
	must(t, err)
	s.rx.setKeys(keys)
	peer, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAeadAes128Gcm)
	must(t, err)
	return s, peer
}

// FuzzDatagram gives the demultiplexer what a stranger may send, and what an authentic peer may encrypt.
func FuzzDatagram(f *testing.F) {
	s, peer := offlineSession(f)
	s.rx.setSink(sinkFunc(func(p *media.Packet) {
		if len(p.Payload) == 0 || len(p.Payload) > maxDatagram {
			f.Errorf("payload of %d bytes", len(p.Payload))
		}
	}))
	sock := s.socks[0]
	from := netip.MustParseAddrPort("127.0.0.99:3480")
	s.peer.Store(&from)
	s.up.Store(true)
	h, _ := (&rtp.Header{Version: 2, PayloadType: 111, SSRC: 1}).Marshal()
	f.Add(append(h, 1, 2, 3), false)
	f.Add(append(h, 1, 2, 3), true)
	sr, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 1}, rtcp.NewCNAMESourceDescription(1, "x")})
	f.Add(sr, false)
	f.Add(sr, true)
	f.Add([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0}, false)
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, authentic bool) {
		if authentic && len(b) > 1 {
			var err error
			if b[1] >= 192 && b[1] <= 223 {
				b, err = peer.EncryptRTCP(nil, b, nil)
			} else {
				b, err = peer.EncryptRTP(nil, b, nil)
			}
			if err != nil {
				return
			}
		}
		sock.agentSaw = time.Now()
		sock.arrive(b, from)
		for len(s.dtlsIn.queue) > 0 {
			<-s.dtlsIn.queue
		}
		select {
		case err := <-s.failed:
			t.Fatal(err)
		default:
		}
	})
}
