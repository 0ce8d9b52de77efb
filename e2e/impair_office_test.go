//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
	"deskbridge/store"
)

// office is a house in which several desks talk at once: each desk has a line of its own that rings nobody else.
type office struct {
	*house
	desks []*officeDesk
	began time.Time
}

// officeDesk is a phone, its line's number and the customer who calls it.
type officeDesk struct {
	o      *office
	ext    string
	number string // the line's, as customers dial it
	phone  *simulator.Phone
	person string // the customer's number
}

// talk is one call, as both ends hold it.
type talk struct {
	o    *office
	call *simulator.CustomerCall
	desk *simulator.PhoneCall
}

// newOffice starts a house with one desk for each phone configuration. User, Password and Registrar are filled in.
func newOffice(t *testing.T, o houseOptions, phones ...simulator.PhoneConfig) *office {
	t.Helper()
	watchStandstill()
	of := &office{began: time.Now()}
	for i, p := range phones {
		of.desks = append(of.desks, &officeDesk{
			o: of, ext: fmt.Sprint(2001 + i), number: fmt.Sprint(15550200000 + i), person: fmt.Sprint(4915100000000 + i),
		})
		phones[i] = p
	}
	meta, settings := o.meta, o.settings
	o.meta = func(mc *simulator.MetaConfig) {
		for i, d := range of.desks {
			n := mc.Numbers[0]
			n.PhoneNumberID, n.DisplayNumber = fmt.Sprint(800800900100000+i), d.number
			mc.Numbers = append(mc.Numbers, n)
		}
		if meta != nil {
			meta(mc)
		}
	}
	o.settings = func(s *appliance.Settings) {
		for i, d := range of.desks {
			l := s.Lines[0]
			l.ID, l.Name = "desk-"+d.ext, "Desk "+d.ext
			l.PhoneNumberID, l.DisplayNumber = fmt.Sprint(800800900100000+i), "+"+d.number
			l.Inbound.Ring = []string{"phone:" + d.ext}
			s.Lines = append(s.Lines, l)
			s.Phones = append(s.Phones, appliance.Phone{
				Extension: d.ext, Enabled: true, Password: appliance.NewSecret(phonePassword(d.ext)), PTime: 20 * time.Millisecond, Line: l.ID,
			})
		}
		if settings != nil {
			settings(s)
		}
	}
	of.house = newHouse(t, o)
	for i, d := range of.desks {
		d.phone = of.newPhone(d.ext, phones[i])
	}
	return of
}

// newPhone makes and registers a simulated phone.
func (h *house) newPhone(ext string, c simulator.PhoneConfig) *simulator.Phone {
	h.t.Helper()
	c.User, c.Password, c.Registrar = ext, phonePassword(ext), h.sip.String()
	p, err := simulator.NewPhone(c)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = p.Close() })
	ctx, cancel := context.WithTimeout(h.t.Context(), wait)
	defer cancel()
	if err := p.Register(ctx); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// rung lets the desk's customer call the desk and waits until both hear that they are connected.
func (d *officeDesk) rung(c simulator.CustomerConfig) talk {
	d.o.t.Helper()
	if c.Phone == "" && c.BSUID == "" {
		c.Phone, c.Name = d.person, "Erika M."
	}
	call, err := d.o.customer(c).Call(d.o.t.Context(), d.number, simulator.CallOptions{})
	if err != nil {
		d.o.t.Fatal(err)
	}
	tk := talk{d.o, call, d.o.next(d.phone)}
	tk.answered()
	return tk
}

// dials lets the desk call the customer.
func (d *officeDesk) dials(c simulator.CustomerConfig) talk {
	d.o.t.Helper()
	if c.Phone == "" {
		c.Phone, c.Name = d.person, "Erika M."
	}
	cust := d.o.customer(c)
	desk, err := d.phone.Dial(d.o.t.Context(), "+"+c.Phone)
	if err != nil {
		d.o.t.Fatal(err)
	}
	select {
	case call := <-cust.Calls():
		tk := talk{d.o, call, desk}
		tk.answered()
		return tk
	case <-desk.Done():
		d.o.t.Fatalf("the call ended: %+v", desk.End())
	case <-time.After(wait):
		d.o.t.Fatal("the customer was not called")
	}
	return talk{}
}

// next is the next call that rings a phone.
func (h *house) next(p *simulator.Phone) *simulator.PhoneCall {
	h.t.Helper()
	select {
	case c := <-p.Calls():
		return c
	case <-time.After(wait):
		h.t.Fatal("the phone did not ring")
		return nil
	}
}

func (tk talk) answered() {
	tk.o.t.Helper()
	ctx, cancel := context.WithTimeout(tk.o.t.Context(), wait)
	defer cancel()
	if err := tk.desk.WaitAnswer(ctx); err != nil {
		tk.o.t.Fatal(err)
	}
	if err := tk.call.WaitState(ctx, simulator.StateConnected); err != nil {
		tk.o.t.Fatal(err)
	}
	tk.o.until("the house to know that they talk", func() bool {
		for _, c := range tk.o.app.Exchange().Calls() {
			if c.CDR.Wacid == tk.call.ID() {
				return !c.CDR.AnsweredAt.IsZero()
			}
		}
		return false
	})
}

// over ends the call from the customer's side and waits until the phone knows.
func (tk talk) over() {
	tk.o.t.Helper()
	tk.call.Hangup()
	select {
	case <-tk.desk.Done():
	case <-time.After(wait):
		tk.o.t.Error("the phone's call did not end")
	}
}

// customerPCM is what the customer heard from a moment on, at 16 kHz.
func (tk talk) customerPCM(since time.Time) []int16 {
	pcm, err := tk.call.HeardBetween(16000, since, time.Time{})
	if err != nil {
		return nil
	}
	return pcm
}

// bothHear waits for the tones at both ends.
func (tk talk) bothHear(atCustomer, atDesk float64) {
	tk.o.t.Helper()
	tk.o.until(fmt.Sprintf("%.0f Hz at the customer and %.0f Hz at the phone", atCustomer, atDesk), func() bool {
		pcm, rate := tk.desk.Heard()
		return rate > 0 && hasTone(pcm, rate, atDesk) && hasTone(tk.customerPCM(time.Now().Add(-1500*time.Millisecond)), 16000, atCustomer)
	})
}

// The shares of the energy that must be the tone. On a lossy line libopus hides a lost frame of a pure tone with a wrong
// phase, also when it is at work at both ends without us: then tenths of seconds are looked at, and their mean.
const (
	cleanShare = 0.9 // of each second
	lossyShare = 0.7 // mean of tenths
)

// hears waits for the tones at both ends and then checks another d of both. Seconds in which the machine stood still are not
// held against anybody and taken again.
func (tk talk) hears(atCustomer, atDesk float64, d time.Duration, lossy bool) {
	h := tk.o.house
	h.t.Helper()
	tk.bothHear(atCustomer, atDesk)
	for try := 1; ; try++ {
		since := time.Now()
		before, rate := tk.desk.Heard()
		var mine, theirs []int16
		h.until("more audio at both ends", func() bool {
			if time.Since(since) < d { // decoding is dear
				return false
			}
			theirs = tk.customerPCM(since)
			mine, _ = tk.desk.Heard()
			mine = mine[min(len(before), len(mine)):]
			return len(theirs) >= int(d.Seconds()*16000) && len(mine) >= int(d.Seconds()*float64(rate))
		})
		bad := append(notTone("the customer", theirs, 16000, atCustomer, lossy), notTone("the phone", mine, rate, atDesk, lossy)...)
		took := time.Since(since).Seconds()
		for who, heard := range map[string]float64{"customer": float64(len(theirs)) / 16000, "phone": float64(len(mine)) / float64(rate)} {
			// A timeline that grows or shrinks would be delay or holes that no tone shows.
			if off := heard - took; off > 0.15 || off < -0.15 {
				bad = append(bad, fmt.Sprintf("the %s heard %.2f s of audio in %.2f s", who, heard, took))
			}
		}
		if len(bad) == 0 {
			return
		}
		stood := standstill(since.Add(-time.Second))
		if try == 6 || stood < 30*time.Millisecond {
			for _, b := range bad {
				h.t.Error(b)
			}
			return
		}
		h.t.Logf("again, for the machine stood still for %s: %v", stood, bad)
	}
}

// notTone describes what of the audio is not the tone.
func notTone(who string, pcm []int16, rate int, freq float64, lossy bool) (bad []string) {
	if lossy {
		var sum, n float64
		for w := rate / 10; len(pcm) >= w; pcm = pcm[w:] {
			sum += media.ToneLevel(pcm[:w], rate, freq)
			n++
		}
		if sum < n*lossyShare {
			bad = append(bad, fmt.Sprintf("%s: tenths of seconds are %.2f of %.0f Hz, want %.2f", who, sum/n, freq, lossyShare))
		}
		return bad
	}
	for n := 0; len(pcm) >= rate; n++ {
		if got := media.ToneLevel(pcm[:rate], rate, freq); got < cleanShare {
			bad = append(bad, fmt.Sprintf("%s: second %d is %.2f of %.0f Hz, want %.2f", who, n, got, freq, cleanShare))
		}
		pcm = pcm[rate:]
	}
	return bad
}

// still is a moment at which this process could not run although it wanted to.
type still struct {
	at   time.Time
	late time.Duration
}

var stills struct {
	sync.Mutex
	once sync.Once
	list []still
}

// watchStandstill begins to notice when the machine is too busy to run us: everything is timed here, and a virtual machine
// that is stopped for a second is nobody's fault. It runs as long as the test process.
func watchStandstill() {
	stills.once.Do(func() {
		go func() {
			const step = 5 * time.Millisecond
			for last := time.Now(); ; {
				time.Sleep(step)
				now := time.Now()
				if late := now.Sub(last) - step; late > 10*time.Millisecond {
					stills.Lock()
					stills.list = append(stills.list, still{now, late})
					stills.list = stills.list[max(0, len(stills.list)-10000):]
					stills.Unlock()
				}
				last = now
			}
		}()
	})
}

// standstill is the longest time this process could not run since a moment.
func standstill(since time.Time) (longest time.Duration) {
	stills.Lock()
	defer stills.Unlock()
	for _, s := range stills.list {
		if s.at.After(since) {
			longest = max(longest, s.late)
		}
	}
	return longest
}

// digits presses keys at both ends at once and checks that each end has exactly the other's.
func (tk talk) digits(fromDesk, fromCustomer string) {
	h := tk.o.house
	h.t.Helper()
	if err := tk.desk.SendDigits(fromDesk); err != nil {
		h.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), wait)
	defer cancel()
	if err := tk.call.SendDigits(ctx, fromCustomer); err != nil {
		h.t.Error(err)
		return
	}
	h.until(fmt.Sprintf("the digits %s and %s", fromDesk, fromCustomer), func() bool {
		return len(tk.call.Digits()) >= len(fromDesk) && len(tk.desk.Digits()) >= len(fromCustomer)
	})
	if got := tk.call.Digits(); got != fromDesk {
		h.t.Errorf("the customer got the digits %q, the phone pressed %q", got, fromDesk)
	}
	if got := tk.desk.Digits(); got != fromCustomer {
		h.t.Errorf("the phone got the digits %q, the customer pressed %q", got, fromCustomer)
	}
}

// record waits for the closed record of a call by Meta's ID.
func (h *house) record(wacid string) bridge.CDR {
	h.t.Helper()
	var out bridge.CDR
	h.until("the record of call "+wacid, func() bool {
		page, err := h.app.Store().Calls(h.t.Context(), store.CallQuery{Limit: 200})
		if err != nil {
			return false
		}
		for _, c := range page.Calls {
			if c.Wacid == wacid && !c.EndedAt.IsZero() {
				out = c
				return true
			}
		}
		return false
	})
	return out
}

// records is every call recorded so far, newest first.
func (h *house) records() []bridge.CDR {
	h.t.Helper()
	page, err := h.app.Store().Calls(h.t.Context(), store.CallQuery{Limit: 500})
	if err != nil {
		h.t.Fatal(err)
	}
	return page.Calls
}
