import { Card, Stack, Table, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { usePhone } from './screen'

export type Column<T> = {
  key: string
  title: string
  cell: (row: T) => ReactNode
  right?: boolean
  hideTitle?: boolean
}

/** A list: a table on a wide screen, cards on a phone. */
export function DataTable<T>({
  label,
  columns,
  rows,
  id,
}: {
  label: string
  columns: Column<T>[]
  rows: T[]
  id: (row: T) => string
}) {
  const phone = usePhone()
  if (phone) {
    return (
      <Stack component="ul" gap="xs" className="cards" aria-label={label}>
        {rows.map((row) => (
          <Card component="li" key={id(row)} withBorder padding="sm">
            {columns.map((c) => {
              const cell = c.cell(row)
              if (cell === '' || cell === null || cell === undefined) return null
              return (
                <div key={c.key} className="card-line">
                  <Text size="sm" c="dimmed" component="span" className={c.hideTitle ? 'hidden-visually' : undefined}>
                    {c.title}
                  </Text>
                  <Text size="sm" component="div" className="card-value">
                    {cell}
                  </Text>
                </div>
              )
            })}
          </Card>
        ))}
      </Stack>
    )
  }
  return (
    <Table.ScrollContainer
      minWidth={600}
      scrollAreaProps={{ viewportProps: { tabIndex: 0, role: 'region', 'aria-label': label } }}
    >
      <Table
        verticalSpacing="sm"
        highlightOnHover
        highlightOnHoverColor="var(--mantine-color-default-hover)"
        aria-label={label}
      >
        <Table.Thead>
          <Table.Tr>
            {columns.map((c) => (
              <Table.Th key={c.key} scope="col" ta={c.right ? 'right' : undefined}>
                <span className={c.hideTitle ? 'hidden-visually' : undefined}>{c.title}</span>
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={id(row)}>
              {columns.map((c) => (
                <Table.Td key={c.key} ta={c.right ? 'right' : undefined}>
                  {c.cell(row)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}
