import { setNonce } from 'get-nonce'

/**
 * The nonce the server gave this page for its inline styles (admin/guard.go). Browsers hide the attribute from selectors, so
 * a style cannot read it out; scripts see the property.
 */
export const nonce = document.querySelector<HTMLStyleElement>('style[nonce]')?.nonce ?? ''

setNonce(nonce) // the scroll lock under dialogs makes its style by itself
