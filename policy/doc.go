// Package policy answers one question: may this call happen? It is pure: facts, rules and the time go in, a Decision comes
// out. It reads no clock and does no I/O.
package policy
