package appliance

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"deskbridge/recorder"
)

// RecordingSettings are what holds for the recordings of all lines.
type RecordingSettings struct {
	KeepDays   int             `yaml:"keep_days" json:"keep_days,omitempty" default:"0" doc:"Days after which a recording is deleted. 0: it is kept."`
	QuotaGiB   int             `yaml:"quota_gib" json:"quota_gib,omitempty" default:"0" doc:"Space of all recordings together, in GiB; beyond it the oldest are deleted first. 0: the disk is the limit."`
	Recipients []string        `yaml:"recipients" json:"recipients,omitempty" example:"[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]" doc:"Public keys of age (age-keygen) whose owners may open recordings made from now on without this appliance."`
	Archive    ArchiveSettings `yaml:"archive" json:"archive,omitzero" doc:"A copy of each finished recording, sealed as it is, in S3-compatible storage."`
}

// ArchiveSettings name the storage of the copies.
type ArchiveSettings struct {
	Endpoint  string `yaml:"endpoint" json:"endpoint,omitempty" example:"https://s3.eu-central-1.amazonaws.com" doc:"URL of the storage. Empty: no copies."`
	Bucket    string `yaml:"bucket" json:"bucket,omitempty" example:"calls" doc:"Bucket; it must exist."`
	Region    string `yaml:"region" json:"region,omitempty" example:"eu-central-1" doc:"Region, if the storage has some."`
	Prefix    string `yaml:"prefix" json:"prefix,omitempty" example:"deskbridge/" doc:"What every object's name begins with."`
	AccessKey string `yaml:"access_key" json:"access_key,omitempty" doc:"Access key ID. It needs s3:PutObject, s3:GetObject and s3:DeleteObject below the prefix."`
	SecretKey Secret `yaml:"secret_key" json:"secret_key,omitzero" example:"file:/etc/deskbridge/secrets/s3" doc:"Secret access key."`
	LocalDays int    `yaml:"local_days" json:"local_days,omitempty" default:"0" doc:"Days after which the file here is deleted when its copy is verified. 0: it stays as long as keep_days says."`
}

// LineRecording says whether a line's calls are recorded.
type LineRecording struct {
	Mode      string `yaml:"mode" json:"mode,omitempty" default:"never" oneof:"never always demand" doc:"demand: the agent begins it during the call, with the toggle."`
	Percent   int    `yaml:"percent" json:"percent,omitempty" default:"0" doc:"Share of the calls that mode always records, 1 to 100. 0: all."`
	Consent   string `yaml:"consent" json:"consent,omitempty" default:"none" oneof:"none beep announcement" doc:"What both sides hear before anything is recorded: nothing, a tone, or a sentence in the line's language (the prompts recording.consent, recording.press and recording.refuse)."`
	RefuseKey string `yaml:"refuse_key" json:"refuse_key,omitempty" example:"\"9\"" doc:"Key with which the customer, while the announcement plays, goes on unrecorded. Empty: there is none."`
	Toggle    string `yaml:"toggle" json:"toggle,omitempty" example:"\"*1\"" doc:"Keys with which the agent pauses and resumes (mode demand: begins) the recording. Empty: the feature code of recording, *1; none: there are no such keys."`
	Required  bool   `yaml:"required" json:"required,omitempty" default:"false" doc:"The line takes and makes no call while recordings cannot be written. Off: such calls go on unrecorded."`
	KeepDays  int    `yaml:"keep_days" json:"keep_days,omitempty" default:"0" doc:"Days after which this line's recordings are deleted. 0: as at the top level."`
}

const (
	toggleNone  = "none"
	maxKeepDays = 36500
	maxQuotaGiB = 1 << 20
)

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	objectForm = regexp.MustCompile(`^[A-Za-z0-9!_.*'()/-]{1,200}$`)
	toggleForm = regexp.MustCompile(`^[0-9*#]{1,8}$`)
)

func (v settingsValidator) recording(r RecordingSettings) {
	v.days("recording.keep_days", r.KeepDays)
	if r.QuotaGiB < 0 || r.QuotaGiB > maxQuotaGiB {
		v.p.add("recording.quota_gib", fmt.Sprintf("%d GiB", r.QuotaGiB), fmt.Sprintf("use 0 to %d", maxQuotaGiB))
	}
	if len(r.Recipients) > recorder.MaxRecipients {
		v.p.add("recording.recipients", fmt.Sprintf("%d recipients", len(r.Recipients)), fmt.Sprintf("at most %d", recorder.MaxRecipients))
	}
	for i, text := range r.Recipients {
		if err := recorder.CheckRecipient(text); err != nil {
			v.p.add(fmt.Sprintf("recording.recipients[%d]", i), err.Error(), "write the line \"public key: age1…\" that age-keygen prints, without its first words")
		}
	}
	v.archive("recording.archive", r.Archive)
}

func (v settingsValidator) days(path string, n int) {
	if n < 0 || n > maxKeepDays {
		v.p.add(path, fmt.Sprintf("%d days", n), fmt.Sprintf("use 0 to %d", maxKeepDays))
	}
}

func (v settingsValidator) archive(at string, a ArchiveSettings) {
	if a.Endpoint == "" {
		if a != (ArchiveSettings{}) {
			v.p.add(at+".endpoint", "missing, though other options of the archive are set", "write the URL of the storage")
		}
		return
	}
	if u, err := url.Parse(a.Endpoint); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		v.p.add(at+".endpoint", fmt.Sprintf("%q is not the URL of a storage", a.Endpoint), "write it as https://HOST or https://HOST:PORT, without the bucket")
	}
	if !bucketForm.MatchString(a.Bucket) {
		v.p.add(at+".bucket", v.missingOr(a.Bucket, "is not a bucket's name"), "use 3 to 63 lower-case letters, digits, dots and hyphens")
	}
	if a.Prefix != "" && (!objectForm.MatchString(a.Prefix) || strings.HasPrefix(a.Prefix, "/")) {
		v.p.add(at+".prefix", fmt.Sprintf("%q cannot begin an object's name", a.Prefix), "use letters, digits, - _ . and /, and no / at its start")
	}
	if a.AccessKey == "" {
		v.p.add(at+".access_key", "missing", "write the access key ID")
	}
	v.secret(at+".secret_key", a.SecretKey, "the storage lets nobody in without it")
	v.days(at+".local_days", a.LocalDays)
}

func (v settingsValidator) lineRecording(at string, l Line) {
	r := l.Recording
	if r.Percent < 0 || r.Percent > 100 {
		v.p.add(at+".percent", fmt.Sprintf("%d percent", r.Percent), "use 1 to 100, or 0 for all calls")
	}
	if r.Percent != 0 && r.Mode != "always" {
		v.p.add(at+".percent", "set, though the mode is not always", "set mode: always, or remove it")
	}
	if k := r.RefuseKey; k != "" && (len(k) != 1 || !strings.Contains("0123456789*#", k)) {
		v.p.add(at+".refuse_key", fmt.Sprintf("%q is not a key", k), "use one of 0-9 * #")
	}
	if r.RefuseKey != "" && r.Consent != "announcement" {
		v.p.add(at+".refuse_key", "set, though nothing tells the customer of it", "set consent: announcement, or remove it")
	}
	if r.RefuseKey != "" && r.Required {
		v.p.add(at+".refuse_key", "set, though every call of the line must be recorded", "remove it, or set required: false")
	}
	if t := r.Toggle; t != "" && t != toggleNone && !toggleForm.MatchString(t) {
		v.p.add(at+".toggle", fmt.Sprintf("%q cannot be pressed", t), "use 1 to 8 of the keys 0-9 * #, or none")
	}
	if r.Required && r.Mode != "always" {
		v.p.add(at+".required", "on, though the mode is not always", "set mode: always, or required: false")
	}
	v.days(at+".keep_days", r.KeepDays)
}

// retention are the settings as the retention worker wants them.
func (s *Settings) retention() recorder.Rules {
	r := recorder.Rules{Days: s.Recording.KeepDays, Quota: int64(s.Recording.QuotaGiB) << 30, LocalDays: s.Recording.Archive.LocalDays, LineDays: map[string]int{}}
	for _, l := range s.Lines {
		if l.Recording.KeepDays > 0 {
			r.LineDays[l.ID] = l.Recording.KeepDays
		}
	}
	return r
}

// archive are the settings as package recorder wants them; nil without an endpoint.
func (s *Settings) archive() *recorder.ArchiveConfig {
	a := s.Recording.Archive
	if a.Endpoint == "" {
		return nil
	}
	return &recorder.ArchiveConfig{Endpoint: a.Endpoint, Bucket: a.Bucket, Region: a.Region, Prefix: a.Prefix, AccessKey: a.AccessKey, SecretKey: a.SecretKey.Reveal()}
}
