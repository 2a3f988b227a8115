-- EQL for Neovim 0.8 and later. Put this file into `~/.config/nvim/plugin/`; `eql-lsp` must be on the PATH.

vim.filetype.add({ extension = { eql = "eql" } })

-- To set a schema or a dialect: vim.g.eql = { schema = "/etc/kestrel/schema.toml", dialect = "endpoint" }
vim.api.nvim_create_autocmd("FileType", {
  pattern = { "eql", "toml" },
  callback = function(event)
    if vim.bo[event.buf].filetype == "eql" then
      vim.bo[event.buf].commentstring = "// %s"
    end
    vim.lsp.start({
      name = "eql-lsp",
      cmd = { "eql-lsp", "--stdio" },
      root_dir = vim.fs.dirname(vim.fs.find({ ".git" }, { upward = true, path = vim.api.nvim_buf_get_name(event.buf) })[1]),
      init_options = vim.g.eql,
    })
  end,
})

-- Highlighting without a parser: the words that matter.
vim.api.nvim_create_autocmd("Syntax", {
  pattern = "eql",
  callback = function()
    vim.cmd([[
      syntax keyword eqlKeyword sequence sample join until where by with maxspan runs any of as
      syntax keyword eqlOperator and or not in like regex
      syntax keyword eqlConstant true false null
      syntax match eqlFunction /\<\w\+\~\?\ze\s*(/
      syntax match eqlNumber /\<\d\+\(\.\d\+\)\?\(ms\|[smhd]\)\?\>/
      syntax match eqlField /[A-Za-z_@][A-Za-z0-9_@]*\(\.[A-Za-z_@][A-Za-z0-9_@]*\)\+/
      syntax region eqlString start=/"/ skip=/\\./ end=/"/ oneline
      syntax region eqlString start=/"""/ end=/"""/ oneline
      syntax match eqlComment ,//.*$,
      syntax region eqlComment start=,/\*, end=,\*/,
      syntax region eqlFrontMatter start=/\%^---\s*$/ end=/^---\s*$/
      highlight default link eqlKeyword Keyword
      highlight default link eqlOperator Operator
      highlight default link eqlConstant Constant
      highlight default link eqlFunction Function
      highlight default link eqlNumber Number
      highlight default link eqlField Identifier
      highlight default link eqlString String
      highlight default link eqlComment Comment
      highlight default link eqlFrontMatter PreProc
    ]])
  end,
})
