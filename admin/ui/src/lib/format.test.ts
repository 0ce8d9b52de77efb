import { describe, expect, it } from 'vitest'
import { duration, formats, phone, span } from './format'
import { safe } from './safe'

describe('formats', () => {
  const en = formats('en', 'Asia/Jakarta')
  const id = formats('id', 'Asia/Jakarta')
  it('show times in the zone they are given', () => {
    expect(en.dateTime('2026-11-23T20:05:09Z')).toBe('24 Nov 2026, 03:05')
    expect(id.dateTime('2026-11-23T20:05:09Z')).toBe('24 Nov 2026, 03.05')
    expect(en.clock('2026-11-23T17:05:09Z')).toBe('00:05:09')
  })
  it('show nothing for a time that is none', () => {
    expect(en.dateTime(undefined)).toBe('')
    expect(en.dateTime('soon')).toBe('')
  })
  it('write numbers as the language does', () => {
    expect(en.number(1234567)).toBe('1,234,567')
    expect(id.number(1234567)).toBe('1.234.567')
    expect(en.bytes(1536 * 1024)).toBe('1.5 MiB')
    expect(id.percent(0.015)).toBe('1,5%')
  })
  it('cut durations to seconds', () => {
    expect([0, 9.9, 65, 3600, 36_061].map(duration)).toEqual(['0:00', '0:09', '1:05', '1:00:00', '10:01:01'])
    expect([undefined, -1, Number.NaN].map(duration)).toEqual(['', '', ''])
  })
  it('split an uptime', () => {
    expect(span(90_061)).toEqual({ d: 1, h: 1, m: 1 })
  })
  it('group digits of a number', () => {
    expect(phone('6281234567890')).toBe('+62 8123 4567 890')
    expect(phone('15550100200')).toBe('+1 5550 1002 00')
    expect(phone('35312345678')).toBe('+353 1234 5678')
    expect(phone('4711')).toBe('4711')
    expect(phone(undefined)).toBe('')
  })
})

describe('a stranger’s name', () => {
  it('loses what turns the direction of writing, breaks lines or is invisible', () => {
    expect(safe('\u202egnp.exe\u202c')).toBe('gnp.exe')
    expect(safe('a\u0000b\u200bc\u2066d\nе\ufeff')).toBe('abcdе')
    expect(safe('\u{e0041}x')).toBe('x')
  })
  it('keeps its script and its emoji', () => {
    expect(safe('سارة 👩‍👩‍👧 Größe')).toBe('سارة 👩‍👩‍👧 Größe')
  })
  it('is nothing when it is not there', () => {
    expect(safe(undefined)).toBe('')
  })
})
