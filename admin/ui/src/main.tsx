import '@mantine/core/styles.css'
import '@mantine/notifications/styles.css'
import './panel.css'
import { MantineProvider } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { nonce } from './app/nonce'
import { newQueries } from './app/queries'
import { newRouter } from './app/router'
import { contrast, theme } from './app/theme'
import { TextProvider } from './i18n/text'

const queries = newQueries()
const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <TextProvider>
        <MantineProvider
          theme={theme}
          cssVariablesResolver={contrast}
          defaultColorScheme="auto"
          getStyleNonce={() => nonce}
        >
          <Notifications position="bottom-right" />
          <QueryClientProvider client={queries}>
            <RouterProvider router={newRouter(queries)} />
          </QueryClientProvider>
        </MantineProvider>
      </TextProvider>
    </StrictMode>,
  )
}
