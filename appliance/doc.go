// Package appliance is the whole product in one process: it reads the configuration, builds every part, starts them in
// order, swaps in changed settings and stops everything again. It decides nothing about a call; that is bridge and policy.
// Every goroutine it starts belongs to the App (or to the server type that starts it) and has ended when Stop returns.
package appliance
