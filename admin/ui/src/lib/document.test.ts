import { describe, expect, it } from 'vitest'
import { locate, read, SyntaxProblem, steps, write } from './document'

const settings = {
  lines: [{ id: 'main', phone_number_id: '700800900100200', inbound: { ring: ['phone:1001'] } }],
  phones: [
    { extension: '1001', password: '(set)' },
    { extension: '1002', password: '(set)' },
  ],
}

describe('the settings as text', () => {
  it('are read as they were written', () => {
    expect(read(write(settings, 'yaml'), 'yaml')).toEqual(settings)
    expect(read(write(settings, 'json'), 'json')).toEqual(settings)
  })
  it('begin with what a thing is called', () => {
    expect(write({ lines: [{ country: 'DE', enabled: true, id: 'main' }] }, 'yaml')).toBe(
      'lines:\n  - id: main\n    enabled: true\n    country: DE\n',
    )
  })
  it('keep numbers that are texts', () => {
    expect(write(settings, 'yaml')).toContain('phone_number_id: "700800900100200"')
  })
  it('tell what is not a document', () => {
    for (const bad of ['lines: [', 'a: 1\na: 2', 'a: &x [*x, *y]'])
      expect(() => read(bad, 'yaml'), bad).toThrow(SyntaxProblem)
    expect(() => read('{"a": 1,}', 'json')).toThrow(SyntaxProblem)
  })
})

describe('a problem’s path', () => {
  const text = write(settings, 'yaml')
  const at = (path: string) => {
    const r = locate(text, path)
    return r && text.slice(...r).trim()
  }
  it('is taken apart', () => {
    expect(steps('lines[0].inbound.ring[1]')).toEqual(['lines', 0, 'inbound', 'ring', 1])
    expect(steps('lines[sales].name')).toEqual(['lines', 'sales', 'name'])
  })
  it('is found by index and by name', () => {
    expect(at('lines[0].inbound.ring[0]')).toBe('phone:1001')
    expect(at('lines[main].phone_number_id')).toBe('phone_number_id: "700800900100200"')
    expect(at('phones[1002].password')).toBe('password: (set)')
    expect(at('phones[1].extension')).toBe('extension: "1002"')
  })
  it('leads to what is nearest when it is missing', () => {
    expect(at('lines[0].inbound.nothing')).toMatch(/^inbound:/)
    expect(at('nothing')).toBeUndefined()
  })
  it('is found in JSON too', () => {
    const json = write(settings, 'json')
    expect(json.slice(...(locate(json, 'phones[1].extension') ?? [0, 0]))).toBe('"extension": "1002"')
  })
})
