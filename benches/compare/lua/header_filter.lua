require("guard").header_filter()
