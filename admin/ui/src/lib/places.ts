/** The places {{…}} of a template's text, each once, by order of first appearance (as graph.placeholders). */
export function places(text: string): string[] {
  const found = [...text.matchAll(/\{\{\s*([^{}]{1,64}?)\s*\}\}/g)].map((m) => m[1] ?? '').filter((p) => p !== '')
  return [...new Set(found)]
}

/** The text with the places filled; what is still empty shows as the place. */
export function filled(text: string, list: string[], values: string[]): string {
  return text.replace(/\{\{\s*([^{}]{1,64}?)\s*\}\}/g, (place, name: string) => values[list.indexOf(name)] || place)
}

/** Whether the places are {{1}} to {{n}} without a gap, as Meta wants them. */
export function numbered(text: string): boolean {
  const list = places(text)
  return list.every((_, i) => list.includes(String(i + 1)))
}
