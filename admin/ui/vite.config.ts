import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// The built files are committed and embedded in the binary: names come from contents, nothing from the machine or the clock.
// Nothing is inlined as a data: URL or inline script, which the content security policy would refuse.
export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    license: { fileName: 'licenses.txt' }, // what the bundled packages ask of whoever passes them on
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
  test: { include: ['src/**/*.test.ts'] },
})
