// Package graph speaks Meta's wire format: the Graph API requests a WhatsApp line needs, the errors they answer with, and
// the JSON and signature of webhooks. It knows nothing about calls in progress: what an event means for a call is decided
// by package whatsapp. It owns no goroutine. The contract it is written from is Meta's documentation as of autumn 2026;
// section numbers in comments (§) are those of the project's copy of that contract.
package graph
