//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// kamailio is a registrar and Record-Routing proxy. The password of a user is "pw" and its name.
type kamailio struct {
	addr netip.AddrPort
	log  string
}

const kamailioConfig = `debug=2
log_stderror=yes
children=2
listen=udp:%[1]s
listen=tcp:%[1]s
alias="pbx.test"
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "xlog.so"
request_route {
  xlog("L_ERR", "TRACE $rm $ru from $si:$sp $proto route=$hdr(Route)\n");
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483","Too Many Hops"); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (has_totag()) { if (loose_route() || !(uri==myself)) t_relay(); exit; }
  if (is_method("OPTIONS") && uri==myself && $rU==$null) { sl_send_reply("200","OK"); exit; }
  if (is_method("REGISTER")) { if (!pv_www_authenticate("pbx.test","pw$fU","0")) { www_challenge("pbx.test","1"); exit; } if (save("location")) xlog("L_ERR", "SAVED $fU\n"); exit; }
  if (is_method("INVITE")) record_route();
  if (uri==myself && !lookup("location")) {
    # What nobody registered is a customer's number: it goes to the extension that is deskbridge.
    $var(number) = $rU;
    $rU = "700";
    if (!lookup("location")) { sl_send_reply("404","Not Found"); exit; }
    $rU = $var(number);
  }
  t_relay();
}
`

// startKamailio starts the PBX.
func startKamailio(t *testing.T) *kamailio {
	t.Helper()
	path, err := exec.LookPath("kamailio")
	if err != nil {
		if path = "/usr/sbin/kamailio"; os.Getenv("KAMAILIO") != "" {
			path = os.Getenv("KAMAILIO")
		}
		if _, err := os.Stat(path); err != nil {
			t.Skip("kamailio is not installed: make setup-e2e")
		}
	}
	dir := t.TempDir()
	k := &kamailio{addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(freePort(t, "127.0.0.1"))), log: filepath.Join(dir, "log")}
	config := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, kamailioConfig, k.addr), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(k.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "-f", config, "-w", dir, "-Y", dir, "-P", filepath.Join(dir, "pid"), "-DD", "-E", "-m", "64", "-M", "8")
	cmd.Stdout, cmd.Stderr = log, log
	// Its workers end when the main process is asked to; once in a while they don't, so they have a group of their own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(k.log)
			t.Logf("kamailio:\n%s", tail(string(text), 80))
		}
	})
	poll(t, "kamailio's ports", func() bool { return listens(k.addr, false) && listens(k.addr, true) })
	return k
}

// saw counts the requests of a method that kamailio routed.
func (k *kamailio) saw(method string) int { return k.logged("TRACE " + method + " ") }

func (k *kamailio) logged(what string) int {
	text, _ := os.ReadFile(k.log)
	return strings.Count(string(text), what)
}

// extension is a house that is extension 700 of a Kamailio, where a baresip is extension 200.
func extension(t *testing.T, transport string, codecs ...string) (*house, *kamailio, *baresip) {
	t.Helper()
	if _, err := exec.LookPath("baresip"); err != nil {
		t.Skip("baresip is not installed: make setup-e2e")
	}
	k := startKamailio(t)
	trunk := pbx("pbx", k.addr)
	trunk.Transport, trunk.Register, trunk.Username, trunk.Domain = transport, true, "700", "pbx.test"
	trunk.Password = appliance.NewSecret("pw700")
	h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:pbx/200"}, trunk)})
	phone := startBaresip(h, baresipOptions{
		ext: "200", codecs: codecs, tone: 1000,
		account: fmt.Sprintf(`"Desk" <sip:200@%s;transport=%s>;auth_user=200;auth_pass=pw200;regint=60`, k.addr, transport),
	})
	h.until("both registrations at kamailio", func() bool { return k.logged("SAVED 200\n") > 0 && k.logged("SAVED 700\n") > 0 })
	h.until("a trunk that is up", func() bool { return h.trunkUp("pbx") })
	return h, k, phone
}

// trunkUp tells whether a trunk is up, as Prometheus sees it.
func (h *house) trunkUp(name string) bool {
	families, err := h.app.Registry().Gather()
	if err != nil {
		return false
	}
	for _, f := range families {
		if !strings.HasSuffix(f.GetName(), "trunk_up") {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == name && m.GetGauge().GetValue() == 1 {
					return true
				}
			}
		}
	}
	return false
}

// TestKamailioRings: the customer calls, the proxy finds the phone; hold goes through it, and so
// does the BYE, whoever sends it.
func TestKamailioRings(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, phoneEnds := range []bool{true, false} {
			// Short names: baresip 1.0.0 cuts the names of its recordings off at 128 characters.
			t.Run(transport+"/"+map[bool]string{true: "phone", false: "customer"}[phoneEnds], func(t *testing.T) {
				h, k, phone := extension(t, transport, "PCMA/8000/1")
				call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{})
				if err != nil {
					t.Fatal(err)
				}
				phone.event("CALL_INCOMING", 1)
				phone.do("accept", "")
				h.customerHears(call, 1000)
				phone.hears(440)
				h.holdsAndResumes(phone, call)
				if n := k.saw("INVITE"); n < 3 {
					t.Errorf("kamailio saw %d INVITEs, want the first, hold and resume", n)
				}
				h.partsThrough(k, phone, call, phoneEnds)
			})
		}
	}
}

// TestKamailioDials: the phone dials a number nobody registered, the proxy sends it to us.
func TestKamailioDials(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, phoneEnds := range []bool{true, false} {
			// Short names: baresip 1.0.0 cuts the names of its recordings off at 128 characters.
			t.Run(transport+"/"+map[bool]string{true: "phone", false: "customer"}[phoneEnds], func(t *testing.T) {
				h, k, phone := extension(t, transport, "PCMA/8000/1")
				cust := h.customer(erika())
				phone.do("dial", fmt.Sprintf("sip:%s@%s;transport=%s", dialled, k.addr, transport))
				call := <-cust.Calls()
				phone.event("CALL_ESTABLISHED", 1)
				h.customerHears(call, 1000)
				phone.hears(440)
				h.holdsAndResumes(phone, call)
				h.partsThrough(k, phone, call, phoneEnds)
			})
		}
	}
}

// holdsAndResumes checks that a phone's hold silences it at the customer, and that resume brings it back.
func (h *house) holdsAndResumes(phone *baresip, call *simulator.CustomerCall) {
	h.t.Helper()
	is := func(state string) {
		h.until("a call that is "+state, func() bool {
			calls := h.app.Exchange().Calls()
			return len(calls) == 1 && calls[0].State == state
		})
	}
	phone.do("hold", "")
	is("held")
	h.until("silence at the customer", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm) > 8000 && media.ToneLevel(pcm[len(pcm)-8000:], 16000, 1000) < 0.1
	})
	phone.do("resume", "")
	is("talking")
	h.customerHears(call, 1000)
}

// partsThrough ends the call and checks that the BYE took the proxy's way.
func (h *house) partsThrough(k *kamailio, phone *baresip, call *simulator.CustomerCall, phoneEnds bool) {
	h.t.Helper()
	if phoneEnds {
		phone.do("hangup", "")
	} else {
		call.Hangup()
	}
	cdr := h.waitNoCalls()
	if cdr.AnsweredAt.IsZero() {
		h.t.Errorf("record %+v", cdr)
	}
	phone.event("CALL_CLOSED", 1)
	h.ended(call)
	if n := k.saw("BYE"); n != 1 {
		h.t.Errorf("kamailio saw %d BYEs", n)
	}
	h.clean(call)
}
