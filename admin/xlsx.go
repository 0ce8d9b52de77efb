package admin

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
)

// maxSheet is how many rows a sheet of a spreadsheet program holds.
const maxSheet = 1_048_576

// The parts of a workbook beside its sheet (ECMA-376 part 1 §12.2, §18.2; part 2 §10).
var workbookParts = [][2]string{
	{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
		`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>`},
	{"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` +
		`<sheets><sheet name="Calls" sheetId="1" r:id="rId1"/></sheets></workbook>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`},
}

// sheetRows writes an XLSX file row by row, straight to the client. Libraries keep the sheet in memory or in a temporary file
// until its end (excelize: 197 MB resident for a million calls); all we need of the format is one sheet of texts and
// numbers. There is no way to write a formula: a cell is an inline string or a number.
type sheetRows struct {
	zip   *zip.Writer
	sheet *bufio.Writer
	n     int
}

func newSheetRows(w io.Writer) (*sheetRows, error) {
	s := &sheetRows{zip: zip.NewWriter(w)}
	for _, part := range workbookParts {
		if err := s.part(part[0], part[1]); err != nil {
			return nil, err
		}
	}
	f, err := s.zip.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		return nil, fmt.Errorf("begin sheet: %w", err)
	}
	s.sheet = bufio.NewWriterSize(f, 32<<10)
	_, _ = s.sheet.WriteString(xml.Header + `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` + "\n")
	return s, s.write(exportHeader, nil)
}

func (s *sheetRows) part(name, text string) error {
	f, err := s.zip.Create(name)
	if err == nil {
		_, err = io.WriteString(f, xml.Header+text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// write adds a row of texts and then numbers. The buffer remembers an error until the last call.
func (s *sheetRows) write(texts []string, numbers []float64) error {
	if s.n == maxSheet {
		return fmt.Errorf("%w: a sheet holds %d rows; narrow the filter or export CSV", ErrInvalid, maxSheet)
	}
	s.n++
	row := strconv.Itoa(s.n)
	_, _ = s.sheet.WriteString(`<row r="` + row + `">`)
	column := byte('A') // exportHeader has fewer than 26
	for _, t := range texts {
		if t != "" {
			_, _ = s.sheet.WriteString(`<c r="` + string(column) + row + `" t="inlineStr"><is><t xml:space="preserve">`)
			_ = xml.EscapeText(s.sheet, []byte(t))
			_, _ = s.sheet.WriteString(`</t></is></c>`)
		}
		column++
	}
	for _, n := range numbers {
		_, _ = s.sheet.WriteString(`<c r="` + string(column) + row + `"><v>` + strconv.FormatFloat(n, 'f', -1, 64) + `</v></c>`)
		column++
	}
	_, err := s.sheet.WriteString("</row>\n")
	return err
}

// row implements rowWriter. The quote in front of a dangerous text is for who saves the sheet as CSV.
func (s *sheetRows) row(v callView) error {
	texts := v.cells()
	texts = texts[:len(texts)-2]
	for i := range texts {
		texts[i] = inert(texts[i])
	}
	return s.write(texts, []float64{v.RingSeconds, v.TalkSeconds})
}

// close implements rowWriter.
func (s *sheetRows) close() error {
	_, _ = s.sheet.WriteString("</sheetData></worksheet>\n")
	if err := s.sheet.Flush(); err != nil {
		return fmt.Errorf("end sheet: %w", err)
	}
	if err := s.zip.Close(); err != nil {
		return fmt.Errorf("end workbook: %w", err)
	}
	return nil
}
