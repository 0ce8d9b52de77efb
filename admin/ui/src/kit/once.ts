import { useRef } from 'react'
import { onceKey } from '../api/desk'

/** The key of an action: the same for a repeated try of the same request, a new one for any other and after next. */
export function useOnce() {
  const last = useRef({ request: '', key: '' })
  return {
    key(request: unknown): string {
      const r = JSON.stringify(request)
      if (last.current.request !== r) last.current = { request: r, key: onceKey() }
      return last.current.key
    },
    next() {
      last.current = { request: '', key: '' }
    },
  }
}
