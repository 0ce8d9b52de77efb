package policy

import (
	"strconv"
	"strings"
	"time"
)

// sentences by key and language, {name} standing for a parameter. {until} is a time.
var sentences = map[string]struct{ en, id string }{
	RuleAllowed:               {"Go ahead.", "Silakan."},
	RuleAllowed + ".warning":  {"Go ahead, but the last {count} calls were not answered. WhatsApp takes the permission away after four.", "Silakan, tetapi {count} panggilan terakhir tidak dijawab. WhatsApp mencabut izin setelah empat kali."},
	RuleAllowed + ".template": {"Go ahead, with an approved template: the customer has not written or called in the last 24 hours.", "Silakan, dengan templat yang disetujui: pelanggan tidak menulis atau menelepon dalam 24 jam terakhir."},

	RuleLineOff:                  {"This WhatsApp line is switched off. Switch it on in the settings of the line.", "Saluran WhatsApp ini dimatikan. Aktifkan di pengaturan saluran."},
	RuleNotAllowed:               {"Calls in this direction are not allowed on this line.", "Panggilan ke arah ini tidak diizinkan di saluran ini."},
	RuleRestricted:               {"WhatsApp has restricted this line. See the line's page for the reason.", "WhatsApp membatasi saluran ini. Alasannya ada di halaman saluran."},
	RuleRestricted + ".until":    {"WhatsApp has restricted this line. The restriction ends {until}.", "WhatsApp membatasi saluran ini. Pembatasan berakhir {until}."},
	RuleBlocked:                  {"This customer is on the blocklist.", "Pelanggan ini ada di daftar blokir."},
	RuleHours:                    {"It is outside the call hours of this line.", "Di luar jam panggilan saluran ini."},
	RuleHours + ".until":         {"It is outside the call hours of this line. It opens {until}.", "Di luar jam panggilan saluran ini. Buka kembali {until}."},
	RuleAction:                   {"This action is not known.", "Tindakan ini tidak dikenal."},
	RuleConcurrency:              {"All {max} calls of this line are in use. Try again when one has ended.", "Semua {max} panggilan saluran ini sedang dipakai. Coba lagi setelah ada yang selesai."},
	RuleWindow:                   {"The customer has not written or called in the last 24 hours, so only an approved template can be sent.", "Pelanggan tidak menulis atau menelepon dalam 24 jam terakhir, jadi hanya templat yang disetujui yang dapat dikirim."},
	RuleUnanswered:               {"The last {count} calls were not answered. One more could cost the permission; wait until the customer calls.", "{count} panggilan terakhir tidak dijawab. Satu lagi bisa mencabut izin; tunggu sampai pelanggan menelepon."},
	RuleAttempts:                 {"The limit for calls to this customer is reached.", "Batas panggilan ke pelanggan ini sudah tercapai."},
	RuleAttempts + ".until":      {"The limit of {max} calls to this customer in {window} is reached. The next is possible {until}.", "Batas {max} panggilan ke pelanggan ini dalam {window} sudah tercapai. Berikutnya bisa {until}."},
	RuleCallLimit:                {"WhatsApp's limit for calls to this customer is reached.", "Batas panggilan WhatsApp ke pelanggan ini sudah tercapai."},
	RuleCallLimit + ".until":     {"The limit for connected calls to this customer is reached. The next is possible {until}.", "Batas panggilan tersambung ke pelanggan ini sudah tercapai. Berikutnya bisa {until}."},
	RuleRequests:                 {"WhatsApp's limit for permission requests to this customer is reached.", "Batas permintaan izin WhatsApp ke pelanggan ini sudah tercapai."},
	RuleRequests + ".until":      {"The customer has been asked for permission often enough. The next request is possible {until}.", "Pelanggan sudah cukup sering dimintai izin. Permintaan berikutnya bisa {until}."},
	RulePermissionUnknown:        {"WhatsApp could not be asked whether this customer allows calls. Try again shortly.", "WhatsApp tidak dapat ditanya apakah pelanggan ini mengizinkan panggilan. Coba lagi sebentar."},
	RulePermissionNone:           {"The customer has not allowed calls from this line. Ask for permission first.", "Pelanggan belum mengizinkan panggilan dari saluran ini. Minta izin dahulu."},
	RulePermissionRequested:      {"The customer has been asked for permission and has not answered yet.", "Pelanggan sudah dimintai izin dan belum menjawab."},
	RulePermissionRequestExpired: {"The customer did not answer the request for permission. Ask again.", "Pelanggan tidak menjawab permintaan izin. Minta izin lagi."},
	RulePermissionDeclined:       {"The customer declined calls from this line.", "Pelanggan menolak panggilan dari saluran ini."},
	RulePermissionExpired:        {"The customer's permission to be called has expired. Ask for permission again.", "Izin panggilan dari pelanggan sudah berakhir. Minta izin lagi."},
	RulePermissionRevoked:        {"The customer has taken back the permission to be called.", "Pelanggan sudah mencabut izin panggilan."},
	RulePermissionUnanswered:     {"WhatsApp took back the permission because calls were not answered. Ask for permission again.", "WhatsApp mencabut izin karena panggilan tidak dijawab. Minta izin lagi."},
	RulePermissionPermanent:      {"The customer has allowed calls for good. There is no need to ask.", "Pelanggan sudah mengizinkan panggilan seterusnya. Tidak perlu meminta izin."},
}

var spans = map[string]struct{ en, id string }{"24h": {"24 hours", "24 jam"}, "7d": {"7 days", "7 hari"}}

// Render puts the decision into words: lang is "id" or "en" (anything else is English), times are shown in loc (nil: UTC).
// A key that is not known, from a newer version, renders as Sentence.
func (d Decision) Render(lang string, loc *time.Location) string {
	s, ok := sentences[d.Key]
	if !ok {
		return d.Sentence
	}
	text := s.en
	if lang == "id" {
		text = s.id
	}
	if !strings.Contains(text, "{") {
		return text
	}
	for name, value := range d.Params {
		text = strings.ReplaceAll(text, "{"+name+"}", word(lang, name, value, loc))
	}
	return text
}

func word(lang, name, value string, loc *time.Location) string {
	switch name {
	case "until":
		if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
			return Moment(lang, t, loc)
		}
	case "window":
		if lang == "id" {
			return spans[value].id
		}
		return spans[value].en
	}
	return value
}

var (
	hari  = [...]string{"Minggu", "Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu"}
	bulan = [...]string{"Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November", "Desember"}
)

// Moment writes a time for people, in the zone's own time: "on Saturday 28 November at 15:04", "Sabtu 28 November pukul
// 15.04". It is rounded up to the minute: what is possible from a time on is possible when the clock shows it.
func Moment(lang string, t time.Time, loc *time.Location) string {
	if loc == nil {
		loc = time.UTC
	}
	if up := t.Truncate(time.Minute); up.Before(t) {
		t = up.Add(time.Minute)
	}
	t = t.In(loc)
	zone := ""
	if loc == time.UTC {
		zone = " UTC"
	}
	if lang == "id" {
		return hari[t.Weekday()] + " " + strconv.Itoa(t.Day()) + " " + bulan[t.Month()-1] + " pukul " + t.Format("15.04") + zone
	}
	return "on " + t.Format("Monday 2 January at 15:04") + zone
}
