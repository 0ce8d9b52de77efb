import { describe, expect, it } from 'vitest'
import { filled, numbered, places } from './places'

describe('places of a template', () => {
  it('are found once each, in order', () => {
    expect(places('Hi {{2}}, {{ 1 }} and {{2}}')).toEqual(['2', '1'])
    expect(places('none {1} {{}}')).toEqual([])
  })
  it('are filled by order, and shown while empty', () => {
    expect(filled('Hi {{1}} of {{2}}, {{1}}', ['1', '2'], ['Sari', ''])).toBe('Hi Sari of {{2}}, Sari')
  })
  it('are filled with text that is not read again', () => {
    expect(filled('{{1}} {{2}}', ['1', '2'], ['{{2}} $&', 'b'])).toBe('{{2}} $& b')
  })
  it('must be numbered without a gap', () => {
    expect(numbered('{{2}} {{1}}')).toBe(true)
    expect(numbered('{{1}} {{3}}')).toBe(false)
    expect(numbered('{{name}}')).toBe(false)
    expect(numbered('none')).toBe(true)
  })
})
