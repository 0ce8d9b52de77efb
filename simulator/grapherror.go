package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// graphError is an error as the Graph API tells it.
type graphError struct {
	code       int
	details    string
	status     int // 0: from the table
	retryAfter time.Duration
}

func (e *graphError) Error() string { return fmt.Sprintf("(#%d) %s", e.code, e.details) }

func refuse(code int, format string, a ...any) *graphError {
	return &graphError{code: code, details: fmt.Sprintf(format, a...)}
}

type errorKind struct {
	status int
	title  string
}

// errorKinds is §18 of the contract. Note the business errors that come as 401.
var errorKinds = map[int]errorKind{
	1:      {500, "An unknown error occurred"},
	3:      {403, "Capability or permissions issue"},
	4:      {429, "Application request limit reached"},
	10:     {403, "Permission denied"},
	12:     {400, "Deprecated parameter"},
	33:     {400, "Parameter value is not valid"},
	100:    {400, "Invalid parameter"},
	190:    {401, "Access token has expired"},
	200:    {403, "Permission denied"},
	613:    {429, "Calls to this API have exceeded the rate limit"},
	80007:  {429, "Rate limit issues"},
	130429: {429, "Rate limit hit"},
	131000: {500, "Something went wrong"},
	131005: {403, "Access denied"},
	131008: {400, "Required parameter is missing"},
	131009: {400, "Parameter value is not valid"},
	131016: {503, "Service unavailable"},
	131021: {400, "Recipient cannot be sender"},
	131026: {400, "Message undeliverable"},
	131030: {400, "Recipient phone number not in allowed list"},
	131044: {400, "Payment issue"},
	131047: {400, "Re-engagement message"},
	131051: {400, "Unsupported message type"},
	131055: {400, "Method not allowed"},
	131057: {503, "Account in maintenance mode"},
	132000: {400, "Number of parameters does not match the expected number of params"},
	132001: {400, "Template name does not exist in the translation"},
	132005: {400, "Translated text too long"},
	132007: {400, "Format character policy violated"},
	132012: {400, "Parameter format does not match format in the created template"},
	132015: {400, "Template is paused"},
	132016: {400, "Template is disabled"},
	138000: {401, "Calling not enabled"},
	138001: {400, "Receiver uncallable"},
	138002: {429, "Concurrent calls limit reached"},
	138003: {400, "Duplicate call"},
	138004: {500, "Connection error"},
	138005: {429, "Call rate limit exceeded"},
	138006: {401, "No approved call permission found"},
	138007: {500, "Connect timeout"},
	138008: {400, "SDP Validation error"},
	138009: {400, "Call permission request limit reached"},
	138012: {400, "Connected call limit reached"},
	138013: {400, "Business initiated calling is not available"},
	138014: {400, "Calling temporarily disabled"},
	138015: {400, "Calling cannot be enabled"},
	138017: {400, "Permanent call permission already exists"},
	138018: {400, "Technical prerequisites missing"},
}

// mediaErrors are the codes that appear only inside a terminate webhook.
var mediaErrors = map[int]string{
	138007: "Connect timeout",
	138019: "Call setup failed",
	138020: "Relay connection failed",
	138021: "Media receive timeout",
	138022: "Media transmit timeout",
	138023: "Call accepted without media signals",
}

func (e *graphError) httpStatus() int {
	if e.status != 0 {
		return e.status
	}
	if k, ok := errorKinds[e.code]; ok {
		return k.status
	}
	return http.StatusBadRequest
}

func (e *graphError) body(trace string) []byte {
	title := errorKinds[e.code].title
	if title == "" {
		title = "Error"
	}
	inner := obj{
		"message": fmt.Sprintf("(#%d) %s", e.code, title), "type": "OAuthException", "code": e.code, "fbtrace_id": trace,
		"is_transient": e.httpStatus() >= 500,
	}
	if e.details != "" {
		inner["error_data"] = obj{"messaging_product": "whatsapp", "details": e.details}
	}
	b, err := json.Marshal(obj{"error": inner})
	if err != nil {
		return []byte(`{"error":{"message":"(#1) An unknown error occurred","type":"OAuthException","code":1}}`)
	}
	return b
}

func (e *graphError) write(w http.ResponseWriter, trace string) (status int, body []byte) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.retryAfter+time.Second-1)/time.Second)))
	}
	status, body = e.httpStatus(), e.body(trace)
	w.Header().Set("Content-Type", "application/json")
	if e.code == 190 {
		w.Header().Set("WWW-Authenticate", `OAuth "Facebook Platform" "invalid_token" "`+errorKinds[190].title+`"`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is its own problem
	return status, body
}
