package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
)

func readSDP(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "sdp", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const ms = time.Millisecond

var allCodecs = []media.Codec{media.Opus, media.G722, media.PCMA, media.PCMU}

func TestOffersOfRealPhonesAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		file  string
		ours  []media.Codec
		want  string // codec/pt digits/clock ptime direction held
		addr  string
		rtcp  string
		lines int
	}{
		{"baresip", allCodecs, "opus/96 101/8000 20ms sendrecv", "192.0.2.21:21058", "192.0.2.21:21059", 2},
		{"linphone", allCodecs, "opus/96 101/48000 20ms sendrecv", "192.0.2.22:7078", "192.0.2.22:7079", 1},
		{"linphone", []media.Codec{media.PCMA}, "PCMA/8 100/8000 20ms sendrecv", "192.0.2.22:7078", "192.0.2.22:7079", 1},
		{"asterisk", allCodecs, "opus/107 102/48000 20ms sendrecv", "198.51.100.10:14842", "198.51.100.10:14843", 1},
		{"asterisk", []media.Codec{media.PCMU, media.Opus}, "PCMU/0 101/8000 20ms sendrecv", "198.51.100.10:14842", "198.51.100.10:14843", 1},
		{"freeswitch", []media.Codec{media.G722}, "G722/9 101/8000 20ms sendrecv mux", "198.51.100.20:24698", "198.51.100.20:24698", 1},
		{"cisco", allCodecs, "PCMA/8 101/8000 20ms sendrecv", "198.51.100.31:29354", "198.51.100.31:29355", 3},
		{"yealink", allCodecs, "G722/9 101/8000 20ms sendrecv", "192.168.1.30:11790", "192.168.1.30:11791", 1},
		{"yealink-hold", allCodecs, "G722/9 101/8000 20ms recvonly held", "192.168.1.30:11790", "192.168.1.30:11791", 1},
		{"grandstream", []media.Codec{media.PCMA}, "PCMA/8 101/8000 30ms sendrecv", "192.168.1.40:5004", "192.168.1.40:5005", 1},
		{"grandstream", allCodecs, "opus/123 101/8000 20ms sendrecv", "192.168.1.40:5004", "192.168.1.40:5005", 1},
		{"rfc2543-hold", allCodecs, "PCMU/0 101/8000 20ms recvonly held", "0.0.0.0:18000", "0.0.0.0:18001", 1},
		{"t38-audio", allCodecs, "PCMA/8 - 20ms sendrecv", "198.51.100.40:4008", "198.51.100.40:4009", 2},
		{"mcu-static-only", allCodecs, "G722/9 101/8000 20ms sendrecv", "192.0.2.60:4000", "192.0.2.60:4001", 1},
		{"ipv6", allCodecs, "PCMA/8 - 20ms sendonly", "[2001:db8::5]:4000", "[2001:db8::5]:4001", 1},
		{"media-before-connection", allCodecs, "PCMA/8 - 60ms recvonly held", "192.0.2.70:4000", "192.0.2.71:4777", 1},
		{"srtp-and-plain", allCodecs, "PCMA/8 - 20ms sendrecv", "192.0.2.80:4002", "192.0.2.80:4003", 2},
	} {
		t.Run(c.file, func(t *testing.T) {
			r, err := parseSDP(readSDP(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			if got := netip.AddrPortFrom(r.audio.addr, r.audio.port).String(); got != c.addr {
				t.Errorf("address %s, want %s", got, c.addr)
			}
			if got := r.audio.controlAddr().String(); got != c.rtcp {
				t.Errorf("RTCP address %s, want %s", got, c.rtcp)
			}
			if len(r.lines) != c.lines {
				t.Errorf("%d m-lines, want %d", len(r.lines), c.lines)
			}
			g, err := agreeOnOffer(r.audio, c.ours, 20*ms)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.summary(); got != c.want {
				t.Errorf("agreed on %q, want %q", got, c.want)
			}
		})
	}
}

func (a *agreement) summary() string {
	d := "-"
	if a.digits != nil {
		d = fmt.Sprintf("%d/%d", a.digits.recv, a.digits.clock)
	}
	s := fmt.Sprintf("%s/%d %s %s %s", a.audio.codec, a.audio.recv, d, a.ptime, a.dir)
	if a.held {
		s += " held"
	}
	if a.mux {
		s += " mux"
	}
	return s
}

// offerWith writes an offer of one audio line.
func offerWith(m string, attrs ...string) []byte {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=" + m + "\r\n")
	for _, a := range attrs {
		b.WriteString("a=" + a + "\r\n")
	}
	return []byte(b.String())
}

func TestUnusableOffersAreRefusedWithTheRightStatus(t *testing.T) {
	many := func(n int, line string) string { return strings.Repeat(line, n) }
	head := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	var formats strings.Builder
	for i := range maxSDPCodecs + 1 {
		fmt.Fprintf(&formats, " %d", 90+i)
	}
	for _, c := range []struct {
		name   string
		body   string
		want   error
		status int
	}{
		{"empty", "", errSDPSyntax, 400},
		{"blank lines", "\r\n\r\n", errSDPSyntax, 400},
		{"not SDP", "<html>", errSDPSyntax, 400},
		{"no version", "o=- 1 1 IN IP4 127.0.0.1\r\n", errSDPSyntax, 400},
		{"short m line", head + "m=audio 1\r\n", errSDPSyntax, 400},
		{"port too high", head + "m=audio 70000 RTP/AVP 8\r\n", errSDPSyntax, 400},
		{"no connection", "v=0\r\nm=audio 4000 RTP/AVP 8\r\n", errSDPSyntax, 400},
		{"NUL", head + "m=audio 4000 RTP/AVP 8\r\na=x\x00y\r\n", errSDPSyntax, 400},
		{"too large", head + many(maxSDPBytes, "a"), errSDPTooLarge, 413},
		{"too many media", head + many(5, "m=audio 0 RTP/AVP 8\r\n"), errSDPTooLarge, 413},
		{"too many codecs", head + "m=audio 4000 RTP/AVP" + formats.String() + "\r\n", errSDPTooLarge, 413},
		{"too many candidates", head + "m=audio 4000 RTP/AVP 8\r\n" + many(65, "a=candidate:1 1 udp 1 1.2.3.4 5 typ host\r\n"), errSDPTooLarge, 413},
		{"no media", head, errNoAudio, 488},
		{"video only", head + "m=video 4000 RTP/AVP 96\r\n", errNoAudio, 488},
		{"audio off", head + "m=audio 0 RTP/AVP 8\r\n", errNoAudio, 488},
		{"SRTP only", string(readSDP(t, "srtp-only")), errSRTPRequired, 488},
		{"multicast", head + "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 224.2.1.1/127\r\n", errMediaAddress, 488},
		{"broadcast", head + "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 255.255.255.255\r\n", errMediaAddress, 488},
		{"IPv6 to an IPv4 leg", string(readSDP(t, "ipv6")), errAddressFamily, 488},
		{"unknown codec", head + "m=audio 4000 RTP/AVP 18 96\r\na=rtpmap:96 iLBC/8000\r\n", errNoCommonCodec, 488},
		{"codec at a wrong clock", head + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/16000\r\n", errNoCommonCodec, 488},
		{"dynamic type without rtpmap", head + "m=audio 4000 RTP/AVP 111\r\n", errNoCommonCodec, 488},
		{"digits alone", head + "m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n", errNoCommonCodec, 488},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
			_, err := s.Answer([]byte(c.body))
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if status, _, text := sdpStatus(err); status != c.status || text == "" {
				t.Errorf("status %d %q, want %d", status, text, c.status)
			}
			if s.route.Load() != nil {
				t.Error("a refused offer left an agreement behind")
			}
		})
	}
}

func TestAnswerKeepsOurOrderAndTheirNumbers(t *testing.T) {
	offer := offerWith("audio 4000 RTP/AVP 0 8 9 120 97 98",
		"rtpmap:120 OPUS/48000/2", "rtpmap:97 telephone-event/8000", "rtpmap:98 telephone-event/48000")
	for _, c := range []struct {
		ours []media.Codec
		want string
	}{
		{[]media.Codec{media.PCMA, media.PCMU}, "m=audio PORT RTP/AVP 8 97\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\n"},
		{[]media.Codec{media.G722}, "m=audio PORT RTP/AVP 9 97\r\na=rtpmap:9 G722/8000\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\n"},
		{[]media.Codec{media.Opus, media.PCMU}, "m=audio PORT RTP/AVP 120 98\r\na=rtpmap:120 opus/48000/2\r\na=fmtp:120 useinbandfec=1;stereo=0;maxaveragebitrate=24000\r\na=rtpmap:98 telephone-event/48000\r\na=fmtp:98 0-15\r\n"},
	} {
		s := openTest(t, mediaSessionConfig{Codecs: c.ours}, mediaHandlers{})
		answer, err := s.Answer(offer)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(c.want, "PORT", fmt.Sprint(s.Port()), 1) + "a=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n"
		if _, got, _ := strings.Cut(string(answer), "t=0 0\r\n"); got != want {
			t.Errorf("answer\n%s\nwant\n%s", got, want)
		}
	}
}

// TestFeedbackProfileIsEchoed: a softphone set to AVPF (RFC 4585) would get 488 for a call that needs no feedback at all.
func TestFeedbackProfileIsEchoed(t *testing.T) {
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	offer := offerWith("audio 4000 RTP/AVPF 8", "rtcp-fb:* nack", "rtcp-fb:8 ccm fir", "sendonly")
	answer, err := s.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	later, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("m=audio %d RTP/AVPF 8\r\n", s.Port())
	for _, body := range [][]byte{answer, later} {
		if !strings.Contains(string(body), want) || strings.Contains(string(body), "rtcp-fb") {
			t.Errorf("wrote\n%s", body)
		}
	}
	if !strings.Contains(string(answer), "a=recvonly") {
		t.Errorf("the attributes of the line were not read:\n%s", answer)
	}
	for _, proto := range []string{"RTP/SAVPF", "UDP/TLS/RTP/SAVPF", "RTP/SAVP"} {
		if _, err := parseSDP(offerWith("audio 4000 " + proto + " 8")); !errors.Is(err, errSRTPRequired) {
			t.Errorf("%s: %v", proto, err)
		}
	}
}

func TestOtherMediaAreRefusedInOrder(t *testing.T) {
	for file, want := range map[string]string{
		"cisco":          "audio,video 0 RTP/AVP 31 34 96 97,application 0 RTP/AVP 125",
		"t38-audio":      "image 0 udptl t38,audio",
		"srtp-and-plain": "audio 0 RTP/SAVP 8,audio",
	} {
		s := openTest(t, mediaSessionConfig{Codecs: allCodecs, RemoteAllowed: []netip.Prefix{}}, mediaHandlers{})
		answer, err := s.Answer(readSDP(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for l := range strings.SplitSeq(string(answer), "\r\n") {
			if m, ok := strings.CutPrefix(l, "m="); ok {
				if strings.HasPrefix(m, fmt.Sprintf("audio %d ", s.Port())) {
					m = "audio"
				}
				got = append(got, m)
			}
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: m-lines %q, want %q", file, got, want)
		}
	}
}

func originVersion(t *testing.T, body []byte) string {
	t.Helper()
	for l := range strings.SplitSeq(string(body), "\r\n") {
		if o, ok := strings.CutPrefix(l, "o="); ok {
			return strings.Fields(o)[2]
		}
	}
	t.Fatal("no o= line")
	return ""
}

func TestOriginVersionRisesOnlyWithAChange(t *testing.T) {
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	talk := offerWith("audio 4000 RTP/AVP 8")
	hold := offerWith("audio 4000 RTP/AVP 8", "sendonly")
	var versions []string
	for _, offer := range [][]byte{talk, talk, hold, hold, talk} {
		answer, err := s.Answer(offer)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, originVersion(t, answer))
	}
	if got := strings.Join(versions, " "); got != "1 1 2 2 3" {
		t.Errorf("versions %s, want 1 1 2 2 3", got)
	}
}

func TestHoldIsAnsweredInTheRightDirection(t *testing.T) {
	for _, c := range []struct {
		attr, addr, want string
		held             bool
	}{
		{"sendrecv", "127.0.0.1", "sendrecv", false},
		{"sendonly", "127.0.0.1", "recvonly", true},
		{"inactive", "127.0.0.1", "inactive", true},
		{"recvonly", "127.0.0.1", "sendonly", false},
		{"sendrecv", "0.0.0.0", "recvonly", true},
		{"sendonly", "0.0.0.0", "recvonly", true},
		{"inactive", "0.0.0.0", "inactive", true},
	} {
		s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
		offer := strings.Replace(string(offerWith("audio 4000 RTP/AVP 8", c.attr)), "c=IN IP4 127.0.0.1", "c=IN IP4 "+c.addr, 1)
		answer, err := s.Answer([]byte(offer))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(answer), "a="+c.want+"\r\n") || s.Held() != c.held {
			t.Errorf("%s at %s: held %v, answer\n%s", c.attr, c.addr, s.Held(), answer)
		}
		if _, err := s.Answer(offerWith("audio 4000 RTP/AVP 8")); err != nil || s.Held() {
			t.Errorf("%s at %s: not resumed: %v", c.attr, c.addr, err)
		}
	}
}

func TestSessionLevelDirectionIsOverriddenByMediaLevel(t *testing.T) {
	offer := strings.Replace(string(offerWith("audio 4000 RTP/AVP 8", "sendrecv")), "t=0 0\r\n", "t=0 0\r\na=inactive\r\n", 1)
	r, err := parseSDP([]byte(offer))
	if err != nil || r.audio.dir != dirSendRecv {
		t.Fatalf("direction %v, %v", r.audio.dir, err)
	}
}

func TestPTimeIsTheFarEndsWithinLimits(t *testing.T) {
	for _, c := range []struct {
		ptime, maxptime string
		codec           media.Codec
		want            time.Duration
	}{
		{"", "", media.PCMA, 20 * ms},
		{"10", "", media.PCMA, 10 * ms},
		{"30", "", media.PCMA, 30 * ms},
		{"30", "", media.Opus, 20 * ms},
		{"50", "", media.Opus, 40 * ms},
		{"60", "", media.Opus, 60 * ms},
		{"20.0", "", media.G722, 20 * ms},
		{"25", "", media.PCMU, 20 * ms},
		{"5", "", media.PCMU, 10 * ms},
		{"120", "", media.PCMU, 60 * ms},
		{"40", "20", media.PCMU, 20 * ms},
		{"", "10", media.PCMU, 10 * ms},
		{"-20", "", media.PCMU, 20 * ms},
		{"NaN", "1e300", media.PCMU, 20 * ms},
		{"banana", "", media.PCMU, 20 * ms},
	} {
		attrs := []string{"rtpmap:96 opus/48000/2"}
		if c.ptime != "" {
			attrs = append(attrs, "ptime:"+c.ptime)
		}
		if c.maxptime != "" {
			attrs = append(attrs, "maxptime:"+c.maxptime)
		}
		r, err := parseSDP(offerWith("audio 4000 RTP/AVP 8 0 9 96", attrs...))
		if err != nil {
			t.Fatal(err)
		}
		g, err := agreeOnOffer(r.audio, []media.Codec{c.codec}, 20*ms)
		if err != nil || g.ptime != c.want {
			t.Errorf("ptime %q maxptime %q %s: %v %v, want %v", c.ptime, c.maxptime, c.codec, g.ptime, err, c.want)
		}
	}
}

func TestReofferKeepsCodecAndNumbers(t *testing.T) {
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	answer, err := s.Answer(offerWith("audio 4000 RTP/AVP 0 120 97", "rtpmap:120 opus/48000/2", "rtpmap:97 telephone-event/48000", "ptime:40"))
	if err != nil {
		t.Fatal(err)
	}
	offer, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	if string(offer) != string(answer) {
		t.Errorf("offer after answer\n%s\nwant the same as\n%s", offer, answer)
	}
	if err := s.ApplyAnswer(offerWith("audio 4000 RTP/AVP 120", "rtpmap:120 opus/48000/2")); err != nil {
		t.Fatal(err)
	}
	if g := s.route.Load(); g.audio.codec != media.Opus || g.audio.send != 120 || g.digits != nil {
		t.Errorf("agreed on %s", g.summary())
	}
}

func TestCodecStaysOnReInvite(t *testing.T) {
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	if _, err := s.Answer(offerWith("audio 4000 RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Answer(offerWith("audio 4000 RTP/AVP 9 8 0")); err != nil {
		t.Fatal(err)
	}
	if c := s.Stream().Format().Codec; c != media.PCMA {
		t.Errorf("codec changed to %s", c)
	}
}

func TestAnswersToOurOfferAreChecked(t *testing.T) {
	offered := func(t *testing.T) *mediaSession {
		s := openTest(t, mediaSessionConfig{Codecs: []media.Codec{media.PCMA, media.Opus}}, mediaHandlers{})
		if _, err := s.Offer(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	two := append(offerWith("audio 4000 RTP/AVP 8"), "m=video 0 RTP/AVP 31\r\n"...)
	for _, c := range []struct {
		name   string
		answer []byte
		want   error
	}{
		{"more m-lines than offered", two, errAnswerMismatch},
		{"refused stream", offerWith("audio 0 RTP/AVP 8"), errNoAudio},
		{"codec never offered", offerWith("audio 4000 RTP/AVP 0"), errNoCommonCodec},
	} {
		if err := offered(t).ApplyAnswer(c.answer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	if err := s.ApplyAnswer(offerWith("audio 4000 RTP/AVP 8")); !errors.Is(err, errAnswerMismatch) {
		t.Errorf("answer without an offer: %v", err)
	}
	// An answer may renumber what was offered, and differ between forks (183, then 200).
	s = offered(t)
	if err := s.ApplyAnswer(offerWith("audio 4000 RTP/AVP 8 101", "rtpmap:101 telephone-event/8000")); err != nil {
		t.Fatal(err)
	}
	if err := s.ApplyAnswer(offerWith("audio 4000 RTP/AVP 99", "rtpmap:99 opus/48000/2")); err != nil {
		t.Fatal(err)
	}
	if g := s.route.Load().audio; g.codec != media.Opus || g.send != 99 || g.recv != opusPayloadType {
		t.Errorf("renumbered answer: %+v", g)
	}
}

func TestOfferFitsOneUDPDatagramWithRoomForSIP(t *testing.T) {
	s := openTest(t, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	offer, err := s.Offer()
	if err != nil || len(offer) > 600 {
		t.Errorf("offer of %d bytes, %v; sipgo refuses messages over 1300", len(offer), err)
	}
}

func FuzzSDP(f *testing.F) {
	files, _ := filepath.Glob("testdata/sdp/*.sdp")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	e, err := newMediaEngine(MediaConfig{IP: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(e.Close)
	answering, err := e.open(mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	if err != nil {
		f.Fatal(err)
	}
	offering, err := e.open(mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := offering.Offer(); err != nil {
			t.Fatal(err)
		}
		_ = offering.ApplyAnswer(b)
		answer, err := answering.Answer(b)
		if err != nil {
			if status, _, _ := sdpStatus(err); status < 400 || status >= 500 {
				t.Fatalf("status %d for %v", status, err)
			}
			return
		}
		// What we answer must be SDP, with as many m-lines as the offer.
		r, err := parseSDP(answer)
		if err != nil {
			t.Fatalf("our own answer: %v\n%s", err, answer)
		}
		if in, _ := parseSDP(b); len(in.lines) != len(r.lines) {
			t.Fatalf("%d m-lines answered with %d", len(in.lines), len(r.lines))
		}
	})
}
