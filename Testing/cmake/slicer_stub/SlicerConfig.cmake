# What find_package(Slicer) gives to an extension of scripted modules, in small: enough to configure, install and
# package the extension where there is no Slicer. Stricter than Slicer where a mistake would pass unseen there.

set(Slicer_VERSION 5.12.0)
set(Slicer_REVISION 0)
set(Slicer_OS test)
set(Slicer_ARCHITECTURE any)
set(Slicer_USE_PYTHONQT TRUE)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.12/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/ExtensionCPack.cmake)
