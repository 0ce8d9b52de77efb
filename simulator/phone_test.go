package simulator

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/media"
)

func testPhone(t *testing.T, cfg PhoneConfig) *Phone {
	t.Helper()
	p, err := NewPhone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func phoneCtx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// connect dials b from a and waits until both are up.
func connect(t *testing.T, a, b *Phone) (out, in *PhoneCall) {
	t.Helper()
	ctx := phoneCtx(t)
	out, err := a.Dial(ctx, b.URI())
	if err != nil {
		t.Fatal(err)
	}
	if err := out.WaitAnswer(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case in = <-b.Calls():
	case <-ctx.Done():
		t.Fatal("the called phone shows no call")
	}
	return out, in
}

func waitDone(t *testing.T, c *PhoneCall) PhoneEnd {
	t.Helper()
	select {
	case <-c.Done():
		return c.End()
	case <-time.After(10 * time.Second):
		t.Fatal("the call never ended")
		return PhoneEnd{}
	}
}

// hears waits until the call's tape holds the tone in its last half second.
func hears(t *testing.T, c *PhoneCall, hz float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v Hz", hz), func() bool {
		pcm, rate := c.Heard()
		if len(pcm) < rate {
			return false
		}
		return media.ToneLevel(pcm[len(pcm)-rate/2:], rate, hz) > 0.9 && media.Level(pcm[len(pcm)-rate/2:]) > -25
	})
}

func TestPhonesTalkInEveryCodecOverUDPAndTCP(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, codec := range []media.Codec{media.PCMA, media.PCMU, media.G722, media.Opus} {
			t.Run(transport+" "+codec.String(), func(t *testing.T) {
				t.Parallel()
				a := testPhone(t, PhoneConfig{User: "1001", Transport: transport, Codecs: []media.Codec{codec}, Source: PhoneSource{Tone: 440}})
				b := testPhone(t, PhoneConfig{User: "1002", Transport: transport,
					Codecs: []media.Codec{media.Opus, media.G722, media.PCMA, media.PCMU}, Source: PhoneSource{Tone: 1000}})
				out, in := connect(t, a, b)
				hears(t, out, 1000)
				hears(t, in, 440)
				if out.Codec() != codec || in.Codec() != codec {
					t.Errorf("codecs %s and %s", out.Codec(), in.Codec())
				}
				for _, c := range []*PhoneCall{out, in} {
					if st := c.Stats(); st.SSRCs != 1 || st.Sources != 1 || st.Lost+st.Late+st.Duplicates+st.Jumps+st.TimestampOdd+st.UnknownType != 0 {
						t.Errorf("stats %+v", st)
					}
				}
				if err := out.Hangup(phoneCtx(t)); err != nil {
					t.Error(err)
				}
				if e := waitDone(t, in); e.By != "far end" {
					t.Errorf("called phone: %+v", e)
				}
				if e := waitDone(t, out); e.By != "phone" {
					t.Errorf("calling phone: %+v", e)
				}
			})
		}
	}
}

func TestPhoneEchoes(t *testing.T) {
	a := testPhone(t, PhoneConfig{User: "1001", Source: PhoneSource{Tone: 600}})
	b := testPhone(t, PhoneConfig{User: "1002", Source: PhoneSource{Echo: true}})
	out, _ := connect(t, a, b)
	hears(t, out, 600)
}

func TestCalledPhoneHangsUp(t *testing.T) {
	a, b := testPhone(t, PhoneConfig{User: "1001"}), testPhone(t, PhoneConfig{User: "1002"})
	out, in := connect(t, a, b)
	if err := in.Hangup(phoneCtx(t)); err != nil {
		t.Fatal(err)
	}
	if e := waitDone(t, out); e.By != "far end" {
		t.Errorf("%+v", e)
	}
}

func TestPhoneDeclines(t *testing.T) {
	for _, status := range []int{486, 603, 480} {
		a := testPhone(t, PhoneConfig{User: "1001"})
		b := testPhone(t, PhoneConfig{User: "1002", Answer: PhoneAnswer{Decline: status, After: 20 * time.Millisecond}})
		out, err := a.Dial(phoneCtx(t), b.URI())
		if err != nil {
			t.Fatal(err)
		}
		if e := waitDone(t, out); e.Status != status || e.By != "far end" {
			t.Errorf("%+v, want %d", e, status)
		}
		select {
		case <-out.Ringing():
		default:
			t.Error("it never rang")
		}
	}
}

func TestCallerCancels(t *testing.T) {
	a := testPhone(t, PhoneConfig{User: "1001"})
	b := testPhone(t, PhoneConfig{User: "1002", Answer: PhoneAnswer{Manual: true}})
	out, err := a.Dial(phoneCtx(t), b.URI(), "X-Deskbridge-Call: abc")
	if err != nil {
		t.Fatal(err)
	}
	in := <-b.Calls()
	<-out.Ringing()
	if h := in.Header("X-Deskbridge-Call"); h != "abc" {
		t.Errorf("header %q", h)
	}
	if err := out.Hangup(phoneCtx(t)); err != nil {
		t.Fatal(err)
	}
	if e := waitDone(t, in); e.Status != 487 || e.By != "far end" {
		t.Errorf("called phone: %+v", e)
	}
	if e := waitDone(t, out); e.Status != 487 || e.By != "phone" {
		t.Errorf("calling phone: %+v", e)
	}
	if err := in.Accept(); err == nil {
		t.Error("a cancelled call was accepted")
	}
}

func TestPhoneOnlyRingsUntilToldToAnswer(t *testing.T) {
	a := testPhone(t, PhoneConfig{User: "1001"})
	b := testPhone(t, PhoneConfig{User: "1002", Answer: PhoneAnswer{Manual: true}})
	out, err := a.Dial(phoneCtx(t), b.URI())
	if err != nil {
		t.Fatal(err)
	}
	in := <-b.Calls()
	<-out.Ringing()
	select {
	case <-out.Answered():
		t.Fatal("answered by itself")
	case <-time.After(200 * time.Millisecond):
	}
	if err := in.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := out.WaitAnswer(phoneCtx(t)); err != nil {
		t.Fatal(err)
	}
}

func TestDigitsArriveByEventAndByInfo(t *testing.T) {
	for _, codec := range []media.Codec{media.PCMU, media.Opus} {
		a := testPhone(t, PhoneConfig{User: "1001", Codecs: []media.Codec{codec}})
		b := testPhone(t, PhoneConfig{User: "1002", Codecs: []media.Codec{codec}})
		out, in := connect(t, a, b)
		if err := out.SendDigits("12#"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "12#", func() bool { return in.Digits() == "12#" })
		if err := in.SendInfo(phoneCtx(t), "9*"); err != nil {
			t.Fatal(err)
		}
		if d := out.Digits(); d != "9*" {
			t.Errorf("by INFO %q", d)
		}
	}
}

func TestHoldStopsTheOtherPhoneAndResumeStartsItAgain(t *testing.T) {
	a := testPhone(t, PhoneConfig{User: "1001", Source: PhoneSource{Tone: 440}})
	b := testPhone(t, PhoneConfig{User: "1002", Source: PhoneSource{Tone: 1000}})
	out, in := connect(t, a, b)
	hears(t, out, 1000)
	if err := out.Hold(phoneCtx(t)); err != nil {
		t.Fatal(err)
	}
	// What is under way still comes; then nothing.
	eventually(t, "quiet", func() bool {
		before := out.Stats().Received
		time.Sleep(100 * time.Millisecond)
		return out.Stats().Received == before
	})
	if err := out.Resume(phoneCtx(t)); err != nil {
		t.Fatal(err)
	}
	before := out.Stats().Received
	eventually(t, "audio after resume", func() bool { return out.Stats().Received > before+10 })
	if err := in.Hold(phoneCtx(t)); err != nil { // the called side can, too
		t.Fatal(err)
	}
}

func TestALossyLineIsCountedAndStillCarriesTheTone(t *testing.T) {
	a := testPhone(t, PhoneConfig{User: "1001", Source: PhoneSource{Tone: 440}, Loss: 0.05, Jitter: 30 * time.Millisecond, Seed: 7})
	b := testPhone(t, PhoneConfig{User: "1002"})
	out, in := connect(t, a, b)
	eventually(t, "loss on both sides", func() bool { return in.Stats().Lost > 3 && out.Stats().Dropped > 3 })
	pcm, rate := in.Heard()
	if l := media.ToneLevel(pcm, rate, 440); l < 0.5 {
		t.Errorf("share of the tone %.2f", l)
	}
	if st := in.Stats(); st.Late+st.Duplicates+st.Jumps != 0 || st.LongestGap < 22*time.Millisecond {
		t.Errorf("stats %+v", st)
	}
}

func TestClosingAPhoneEndsItsCallsAtTheFarEnd(t *testing.T) {
	a, b := testPhone(t, PhoneConfig{User: "1001"}), testPhone(t, PhoneConfig{User: "1002"})
	out, in := connect(t, a, b)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if e := waitDone(t, in); e.By != "far end" {
		t.Errorf("%+v", e)
	}
	waitDone(t, out)
}

// fakeRegistrar answers REGISTER with a digest challenge and then checks it.
func fakeRegistrar(t *testing.T, algorithm, password string) (addr string, expires chan string) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	expires = make(chan string, 10)
	chal := &digest.Challenge{Realm: "pbx.test", Nonce: "n1", Algorithm: algorithm, QOP: []string{"auth"}}
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, src, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := msg.ParseMessage(buf[:n])
			r, ok := m.(*msg.Request)
			if err != nil || !ok {
				continue
			}
			r.SetSource(src.String())
			res := msg.NewResponseFromRequest(r, 401, "Unauthorized", nil)
			res.AppendHeader(msg.NewHeader("WWW-Authenticate", chal.String()))
			if h := r.GetHeader("Authorization"); h != nil {
				got, err := digest.ParseCredentials(h.Value())
				if err != nil {
					continue
				}
				want, err := digest.Digest(chal, digest.Options{
					Method: "REGISTER", URI: got.URI, Username: "1001", Password: password, Cnonce: got.Cnonce, Count: got.Nc,
				})
				if err == nil && want.Response == got.Response {
					res = msg.NewResponseFromRequest(r, 200, "OK", nil)
					expires <- r.GetHeader("Expires").Value()
				}
			}
			_, _ = conn.WriteTo([]byte(res.String()), src)
		}
	}()
	return conn.LocalAddr().String(), expires
}

func TestPhoneRegistersWithDigestAndUnregisters(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		addr, expires := fakeRegistrar(t, algorithm, "secret")
		p := testPhone(t, PhoneConfig{User: "1001", Password: "secret", Registrar: addr, Domain: "pbx.test", Expires: 2 * time.Second})
		if err := p.Register(phoneCtx(t)); err != nil {
			t.Fatal(err)
		}
		for i := range 2 { // the second is the refresh
			select {
			case e := <-expires:
				if e != "2" {
					t.Errorf("%s: expires %s", algorithm, e)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: registration %d never came", algorithm, i+1)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if e := <-expires; e != "0" {
			t.Errorf("%s: Close registered with expires %s", algorithm, e)
		}
	}
}

func TestWrongPasswordIsAnError(t *testing.T) {
	addr, _ := fakeRegistrar(t, "MD5", "secret")
	p := testPhone(t, PhoneConfig{User: "1001", Password: "wrong", Registrar: addr, Domain: "pbx.test"})
	if err := p.Register(phoneCtx(t)); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("error %v", err)
	}
}

func TestTwoHundredIsRepeatedUntilAcknowledgedAndLateOfferWorks(t *testing.T) {
	b := testPhone(t, PhoneConfig{User: "1002", Source: PhoneSource{Tone: 700}})
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	media1 := testPhone(t, PhoneConfig{User: "x"}) // only for its SDP writer
	audio, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer audio.Close()
	me := conn.LocalAddr().String()
	send := func(method string, tag, body string) {
		text := fmt.Sprintf("%[1]s sip:1002@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]s;rport\r\nFrom: <sip:x@%[3]s>;tag=a\r\nTo: <sip:1002@%[2]s>%[4]s\r\n"+
			"Call-ID: late-1\r\nCSeq: 1 %[1]s\r\nContact: <sip:x@%[3]s>\r\nMax-Forwards: 70\r\nContent-Length: %[5]d\r\n\r\n%[6]s", method, b.Addr(), me, tag, len(body), body)
		to := net.UDPAddrFromAddrPort(b.Addr())
		if _, err := conn.WriteTo([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	send("INVITE", "", "")
	var ok *msg.Response
	buf := make([]byte, 4096)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	for count := 0; count < 2; {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := msg.ParseMessage(buf[:n]); err == nil {
			if r := m.(*msg.Response); r.StatusCode == 200 {
				ok = r
				count++
			}
		}
	}
	f, err := media1.readPhoneSDP(ok.Body(), false)
	if err != nil {
		t.Fatal(err)
	}
	tag, _ := ok.To().Params.Get("tag")
	send("ACK", ";tag="+tag, string(media1.phoneSDP(audio.LocalAddr().(*net.UDPAddr).AddrPort(), f, "sendrecv", 1)))
	_ = audio.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := audio.ReadFrom(buf); err != nil {
		t.Errorf("no audio after the answer in the ACK: %v", err)
	}
}

func FuzzPhone(f *testing.F) {
	p, err := NewPhone(PhoneConfig{User: "1001", Answer: PhoneAnswer{Manual: true}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = p.Close() })
	f.Add([]byte("INVITE sip:1001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("CANCEL sip:1001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 CANCEL\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Add(p.phoneSDP(p.Addr(), nil, "sendrecv", 1))
	f.Fuzz(func(_ *testing.T, b []byte) {
		m, err := msg.ParseMessage(b)
		if err == nil {
			m.SetSource("127.0.0.1:9")
			m.SetTransport("UDP")
			switch m := m.(type) {
			case *msg.Request:
				p.takeRequest(m)
			case *msg.Response:
				p.takeResponse(m)
			}
		}
		_, _ = p.readPhoneSDP(b, false)
		p.mu.Lock()
		calls := p.byID
		p.byID = map[string]*PhoneCall{}
		p.mu.Unlock()
		for _, c := range calls {
			c.end(PhoneEnd{})
		}
	})
}
