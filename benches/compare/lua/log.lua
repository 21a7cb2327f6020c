require("guard").log()
