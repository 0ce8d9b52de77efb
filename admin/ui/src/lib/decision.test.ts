import { describe, expect, it } from 'vitest'
import type { Decision } from '../api/desk'
import { fill } from '../i18n/dictionary'
import { en } from '../i18n/en'
import { id } from '../i18n/id'
import { explain, urgency } from './decision'
import { formats } from './format'

const d = (key: string, params: Record<string, string> = {}): Decision => ({
  allowed: false,
  rule: key,
  key,
  params,
  sentence: 'In English.',
})

describe('explain', () => {
  const f = formats('en', 'Asia/Jakarta')
  const t = (key: keyof typeof en, v?: Record<string, string | number>) => fill(en[key], v)
  it('puts times into the viewer’s zone and spans into words', () => {
    const s = explain(t, f, d('limit.attempts.until', { max: '5', window: '24h', until: '2026-11-28T08:00:00Z' }))
    expect(s).toContain('15:00')
    expect(s).toContain('5 calls')
    expect(s).toContain('24 hours')
  })
  it('speaks the viewer’s language', () => {
    expect(explain((key, v) => fill(id[key], v), f, d('customer.blocked'))).toBe('Pelanggan ini ada di daftar blokir.')
  })
  it('keeps the sentence of a rule it does not know', () => {
    expect(explain(t, f, d('rule.of.tomorrow'))).toBe('In English.')
  })
})

describe('urgency', () => {
  const now = Date.parse('2026-11-28T08:00:00Z')
  it('grows with the time', () => {
    expect(urgency('2026-11-28T09:00:00Z', now)).toBe('waiting')
    expect(urgency('2026-11-28T08:15:00Z', now)).toBe('soon')
    expect(urgency('2026-11-28T07:59:59Z', now)).toBe('overdue')
  })
})
